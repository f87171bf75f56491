/** The dictionary that a kernel's symbol names are written with: 256 strings, and where each begins. */
export interface TokenTable {
  /** Where in RAM the strings begin, and where the index of them ends. */
  readonly start: number;
  readonly end: number;
  readonly tokens: readonly string[];
}

const TOKEN_COUNT = 256;
const TOKEN_BYTES_MAX = 128;
const DIGIT_0 = 0x30;
const DIGIT_COUNT = 10;
const STRIDE_BYTES = 16;

/**
 * Finds token tables in RAM. Characters that occur in names stand for themselves, so each table has the digits in a row,
 * each with its NUL: 20 bytes, which always include a whole word at an address that is a multiple of 16. Whether it is a
 * table the index behind it tells, which gives the place of every string.
 */
export function* findTokenTables(ram: Uint8Array): Generator<TokenTable> {
  const words = new Int32Array(ram.buffer, ram.byteOffset, ram.length >>> 2);
  for (let at = 0; at < words.length; at += STRIDE_BYTES / 4) {
    const word = words[at]!;
    const isEven = (word & 0xfff0fff0) === 0x00300030;
    if (!isEven && (word & 0xf0fff0ff) !== 0x30003000) continue;
    const digits = isEven ? at * 4 - 2 * (word & 15) : at * 4 + 1 - 2 * ((word >>> 8) & 15);
    if (!hasDigits(ram, digits)) continue;
    const table = readTable(ram, digits);
    if (table) yield table;
  }
}

function hasDigits(ram: Uint8Array, at: number): boolean {
  if (at < 0) return false;
  for (let digit = 0; digit < DIGIT_COUNT; digit++) {
    if (ram[at + digit * 2] !== DIGIT_0 + digit || ram[at + digit * 2 + 1] !== 0) return false;
  }
  return true;
}

/** The table whose string number 0x30, the digit 0, begins there. */
function readTable(ram: Uint8Array, digits: number): TokenTable | undefined {
  const end = skipStrings(ram, digits, TOKEN_COUNT - DIGIT_0);
  for (const alignment of [8, 4, 2]) {
    const index = Math.ceil(end / alignment) * alignment;
    if (end < 0 || index + TOKEN_COUNT * 2 > ram.length) continue;
    const offset = (token: number) => ram[index + token * 2]! | (ram[index + token * 2 + 1]! << 8);
    const start = digits - offset(DIGIT_0);
    if (start < 0 || offset(0) !== 0) continue;
    const tokens = Array.from({ length: TOKEN_COUNT }, (_, token) => readString(ram, start + offset(token)));
    let expected = 0;
    const isRight = tokens.every((text, token) => {
      const here = expected;
      expected += text.length + 1;
      return offset(token) === here;
    });
    if (isRight) return { start, end: index + TOKEN_COUNT * 2, tokens };
  }
  return undefined;
}

/** The address behind so many strings, or -1. */
function skipStrings(ram: Uint8Array, at: number, count: number): number {
  const limit = Math.min(ram.length, at + count * TOKEN_BYTES_MAX);
  for (let left = count; at < limit; at++) if (ram[at] === 0 && --left === 0) return at + 1;
  return -1;
}

function readString(ram: Uint8Array, at: number): string {
  let text = '';
  for (let length = 0; length < TOKEN_BYTES_MAX && ram[at + length]; length++) text += String.fromCharCode(ram[at + length]!);
  return text;
}
