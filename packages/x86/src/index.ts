export { CALL, CALL_INDIRECT, JMP_INDIRECT, RET } from './rows/control.ts';
export * from './decode.ts';
export { effectiveBits, type ModeBits } from './opcode-match.ts';
export * from './disassemble.ts';
export * from './emit.ts';
export * from './insn.ts';
export * from './operand.ts';
export { FLOAT_FORMATS } from './rows/sse-vector.ts';
export * from './table.ts';
