export { CALL, RET } from './rows/control.ts';
export * from './decode.ts';
export * from './disassemble.ts';
export * from './emit.ts';
export * from './insn.ts';
export * from './operand.ts';
export * from './table.ts';
