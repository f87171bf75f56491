import { disassemble, type ModeBits } from '@hanok/x86';

/** Bytes that the decoder found no instruction in. */
export interface UnknownEncoding {
  readonly bytes: Uint8Array;
  /** Linear address of the first. */
  readonly address: bigint;
  readonly mode: ModeBits;
  /** The straight run of code that leads to them, possibly empty. */
  readonly before: Uint8Array;
}

const INSTRUCTIONS_SHOWN = 3;
const LINES_MAX = 100;

const hexBytes = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** One line for the log: where, what, and the instructions before. */
function describeUnknown({ bytes, address, mode, before }: UnknownEncoding): string {
  const texts: string[] = [];
  for (let at = 0; at < before.length;) {
    const { text, lengthBytes } = disassemble(before.subarray(at), { mode, address: address - BigInt(before.length - at) });
    texts.push(text);
    at += lengthBytes;
  }
  const context = texts.length === 0 ? '' : `; before it: ${texts.slice(-INSTRUCTIONS_SHOWN).join('; ')}`;
  return `no such instruction at 0x${address.toString(16)} in ${mode}-bit mode, #UD where it runs: ${hexBytes(bytes)}${context}`;
}

/** Names each encoding once, and no more than a guest may fill a log with. */
export function unknownReporter(log: (line: string) => void): (unknown: UnknownEncoding) => void {
  const seen = new Set<string>();
  return (unknown) => {
    const key = hexBytes(unknown.bytes);
    if (seen.has(key) || seen.size >= LINES_MAX) return;
    seen.add(key);
    log(describeUnknown(unknown));
  };
}
