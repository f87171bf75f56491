import type { Insn, Row } from './insn.ts';
import { AES } from './rows/aes.ts';
import { ARITHMETIC } from './rows/arithmetic.ts';
import { BIT } from './rows/bit.ts';
import { BIT_MANIPULATION } from './rows/bit-manipulation.ts';
import { CARRYLESS } from './rows/carryless.ts';
import { CONTROL } from './rows/control.ts';
import { FLAG } from './rows/flag.ts';
import { LEGACY } from './rows/legacy.ts';
import { LOGIC } from './rows/logic.ts';
import { MMX } from './rows/mmx.ts';
import { MOVE } from './rows/move.ts';
import { MULTIPLY } from './rows/multiply.ts';
import { SHA } from './rows/sha.ts';
import { SHIFT } from './rows/shift.ts';
import { SSE_COMPARE } from './rows/sse-compare.ts';
import { SSE_CONTROL } from './rows/sse-control.ts';
import { SSE_CONVERT } from './rows/sse-convert.ts';
import { SSE_ELEMENT } from './rows/sse-element.ts';
import { SSE_FLOAT } from './rows/sse-float.ts';
import { SSE_MOVE } from './rows/sse-move.ts';
import { SSE2_INTEGER } from './rows/sse2-integer.ts';
import { SSE2_SHUFFLE } from './rows/sse2-shuffle.ts';
import { SSE42_STRING } from './rows/sse42-string.ts';
import { SSE4_FLOAT } from './rows/sse4-float.ts';
import { SSE4_INTEGER } from './rows/sse4-integer.ts';
import { SSSE3 } from './rows/ssse3.ts';
import { STACK } from './rows/stack.ts';
import { STRING } from './rows/string.ts';
import { PRIVILEGE_CHANGES } from './rows/privilege.ts';
import { SYSTEM } from './rows/system.ts';
import { X87 } from './rows/x87.ts';

/** Every instruction this processor has. */
export const ALL_INSNS: readonly Insn[] = [
  ...ARITHMETIC, ...LOGIC, ...MULTIPLY, ...SHIFT, ...BIT, ...BIT_MANIPULATION, ...MOVE, ...STACK, ...CONTROL, ...STRING, ...FLAG, ...LEGACY, ...SYSTEM, ...PRIVILEGE_CHANGES,
  ...SSE_MOVE, ...SSE_FLOAT, ...SSE_COMPARE, ...SSE_CONVERT, ...SSE_CONTROL, ...SSE2_INTEGER, ...SSE2_SHUFFLE, ...SSE_ELEMENT, ...SSSE3, ...SSE4_INTEGER, ...SSE4_FLOAT, ...SSE42_STRING, ...CARRYLESS, ...AES, ...SHA, ...MMX, ...X87,
];

export const ALL_ROWS: readonly Row[] = ALL_INSNS.flatMap((insn) => insn.rows);

/** How much a row asks of an encoding: the more exact row is tried first. */
function exactness(row: Row): number {
  return (row.modrm === undefined ? 0 : 8) + (row.prefix === 'any' ? 0 : 4) + (row.extension === undefined ? 0 : 2) + (row.plusRegister ? 0 : 1);
}

/** Encodings with a VEX prefix have tables of their own, after those of the four opcode maps. */
export const VEX_TABLES = 4;

function buildTables(): Row[][][] {
  const tables: Row[][][] = Array.from({ length: VEX_TABLES + 4 }, () => Array.from({ length: 256 }, () => []));
  for (const row of ALL_ROWS) {
    const span = row.plusRegister ? 8 : 1;
    const table = tables[row.map + (row.vexLength === undefined ? 0 : VEX_TABLES)]!;
    for (let index = 0; index < span; index++) table[row.opcode + index]!.push(row);
  }
  for (const table of tables) for (const rows of table) rows.sort((a, b) => exactness(b) - exactness(a));
  return tables;
}

/** Candidate rows by opcode map and opcode, the most exact first. */
export const OPCODE_TABLES: readonly (readonly (readonly Row[])[])[] = buildTables();
