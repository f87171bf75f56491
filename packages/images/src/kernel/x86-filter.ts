const CALL = 0xe8;
const INSTRUCTION_BYTES = 5;

/** The top byte of an operand that the filter changes: it reaches 16 MiB either way. */
const isNear = (byte: number): boolean => byte === 0x00 || byte === 0xff;

/**
 * Undoes, in place, what xz's filter for x86 code did (The .xz File Format, §5.3.2 "Branch/Call/Jump Filters
 * for Executables": targets of near calls and jumps are absolute, so that those to one function look alike). `code` is all that went through the filter.
 */
export function undoX86Filter(code: Uint8Array): void {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  // Opcodes among the last three bytes that were left alone: bit 0 stands for the byte just before.
  let recent = 0;
  for (let at = 0; at + INSTRUCTION_BYTES <= code.length; ) {
    // CALL and JMP differ in the lowest bit.
    const isOpcode = (code[at]! & 0xfe) === CALL;
    if (isOpcode && isNear(code[at + 4]!) && !isInOperand(code, at, recent)) {
      const next = at + INSTRUCTION_BYTES;
      view.setInt32(at + 1, relativeTarget(view.getInt32(at + 1, true), next, distanceOf(recent)), true);
      at = next;
      recent = 0;
    } else {
      recent = ((recent << 1) | (isOpcode ? 1 : 0)) & 7;
      at++;
    }
  }
}

/** How many bytes before stands the farthest opcode; 0 for none. */
const distanceOf = (recent: number): number => 32 - Math.clz32(recent);

/** What follows an opcode closely may be its operand: the filter leaves it alone where that would confuse who undoes it. */
function isInOperand(code: Uint8Array, at: number, recent: number): boolean {
  const distance = distanceOf(recent);
  return distance > 0 && (recent !== 1 << (distance - 1) || isNear(code[at + 4 - distance]!));
}

function relativeTarget(absolute: number, next: number, distance: number): number {
  let target = absolute - next;
  const shift = 24 - distance * 8;
  // Where this would have made the opcode before it look like one to change, the filter has all bits up to there turned over.
  if (distance > 0 && isNear((target >>> shift) & 0xff)) target = (target ^ (2 ** (shift + 8) - 1)) - next;
  // 25 bits with a sign.
  return (target << 7) >> 7;
}
