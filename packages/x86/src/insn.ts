import type { Emit, Operands } from './emit.ts';
import { type OperandSpec, parseOperands } from './operand.ts';

/** Attributes of a row that its opcode and operands do not say. */
export interface RowOptions {
  /** LOCK is allowed when the destination is memory; `implied`: such an access is locked without the prefix too. */
  readonly lock?: boolean | 'implied';
  /** Valid only in 64-bit mode, or only outside it. */
  readonly only64?: boolean;
  readonly not64?: boolean;
  /** In 64-bit mode the operand size is 64 without REX.W (and 16 with 66): PUSH, POP and kin. */
  readonly default64?: boolean;
  /** In 64-bit mode the operand size is 64 whatever the prefixes say: near branches. */
  readonly force64?: boolean;
  /** F2/F3 before this opcode is a repeat prefix. */
  readonly repeat?: boolean;
  /** The body looks at `mode64`. */
  readonly perMode?: boolean;
  /** The body looks at `addressBits`. */
  readonly perAddressSize?: boolean;
  /** A 128-bit memory operand need not be aligned to 16 bytes (MOVUPS and kin); all others raise #GP. */
  readonly unaligned?: boolean;
  /** Depends on CR0 and CR4 as instructions with XMM registers do. */
  readonly sse?: boolean;
  /** Ends a straight run of instructions: the next one may be elsewhere. */
  readonly ends?: boolean;
}

/** One encoding of an instruction. */
export interface Row {
  readonly insn: Insn;
  /** Opcode map: 0 one-byte, 1 = 0F, 2 = 0F38, 3 = 0F3A. */
  readonly map: 0 | 1 | 2 | 3;
  readonly opcode: number;
  /** Mandatory prefix: 'any' where 66, F2, F3 keep their ordinary meaning. */
  readonly prefix: 'any' | 'none' | 0x66 | 0xf2 | 0xf3;
  /** Register in the opcode's low three bits. */
  readonly plusRegister: boolean;
  /** ModRM.reg as an opcode extension. */
  readonly extension: number | undefined;
  /** A whole ModRM byte as part of the opcode (0F 01 D0). */
  readonly modrm: number | undefined;
  readonly hasModrm: boolean;
  readonly rexW: boolean | undefined;
  /** Encoded with a VEX prefix, whose length bit is 0 or 1 (SDM vol. 2A §2.3). */
  readonly vexLength: 0 | 1 | undefined;
  readonly operands: readonly OperandSpec[];
  readonly options: RowOptions;
  /** As written, for messages and docs. */
  readonly text: string;
}

/** Whether CR0.EM and CR4.OSFXSR can make the instruction undefined and CR0.TS can make it raise #NM (SDM vol. 2A §2.4, types 1 to 5). */
export function usesSse(row: Row): boolean {
  return row.options.sse === true || (row.vexLength === undefined && row.operands.some(({ kind }) => 'VWU'.includes(kind)));
}

/** Whether CR0.EM and CR0.TS make the instruction raise #NM (SDM vol. 3A §2.5): the escapes of the x87. */
export function usesX87(row: Row): boolean {
  return row.map === 0 && row.opcode >= 0xd8 && row.opcode <= 0xdf;
}

/** An instruction: its name, its encodings, and what it means. */
export interface Insn {
  readonly name: string;
  readonly rows: readonly Row[];
  readonly body: (e: Emit, o: Operands) => void;
  /** Privileged or system instruction: user-mode comparison with a real processor does not apply. */
  readonly system: boolean;
}

type RowDraft = Omit<Row, 'insn'>;

const VEX_LENGTHS: Readonly<Record<string, Row['vexLength']>> = { LZ: 0, '128': 0, '256': 1 };
const VEX_MAPS: Readonly<Record<string, string>> = { '0F': '0F', '0F38': '0F 38', '0F3A': '0F 3A' };

/** `VEX.LZ.66.0F38.W0 F7` in the words of other encodings: `66 W0 0F 38 F7`, and the vector length. */
function vexTokens(tokens: string[]): { vexLength: Row['vexLength']; tokens: string[] } {
  const [head, ...rest] = tokens;
  if (!head!.startsWith('VEX.')) return { vexLength: undefined, tokens };
  const [, length, prefix, map, w] = head!.split('.');
  const vexLength = VEX_LENGTHS[length!];
  if (vexLength === undefined || !VEX_MAPS[map!]) throw new Error(`unknown VEX notation ${head}`);
  const wide = w === undefined ? [] : [w === 'W1' ? 'REX.W' : w];
  return { vexLength, tokens: [prefix!, ...wide, ...VEX_MAPS[map!]!.split(' '), ...rest] };
}

/**
 * One encoding, in the manual's notation (SDM vol. 2A §3.1.1): `row('81 /0', 'Ev,Iz')`, `row('50+r', 'Zv')`,
 * `row('66 0F 6F', 'Vx,Wx')`, `row('0F 01 F8')`, `row('REX.W 0F C7 /1', 'Mdq')`. `NP` means that 66, F2 and F3 select
 * other instructions. A VEX prefix is written as there too, `VEX.LZ.F2.0F38.W0 F7`, its mandatory prefix always named;
 * without a W the operand size follows it. Operand letters are those of SDM vol. 2D appendix A.
 */
export function row(encoding: string, operands = '', options: RowOptions = {}): RowDraft {
  const { vexLength, tokens } = vexTokens(encoding.split(' '));
  let prefix: Row['prefix'] = 'any';
  let rexW: boolean | undefined;
  if (tokens[0] === 'NP') prefix = 'none';
  else if (/^(66|F2|F3)$/.test(tokens[0]!) && tokens.length > 1) prefix = Number.parseInt(tokens[0]!, 16) as 0x66 | 0xf2 | 0xf3;
  if (prefix !== 'any') tokens.shift();
  if (tokens[0] === 'REX.W' || tokens[0] === 'W0') rexW = tokens.shift() === 'REX.W';
  let map: Row['map'] = 0;
  const escape = tokens.join(' ');
  if (/^0F 38 ./.test(escape)) map = 2;
  else if (/^0F 3A ./.test(escape)) map = 3;
  else if (/^0F ./.test(escape)) map = 1;
  tokens.splice(0, map === 0 ? 0 : map === 1 ? 1 : 2);
  const opcodeText = tokens.shift()!;
  const tail = tokens.shift();
  const specs = parseOperands(operands);
  const extension = tail?.startsWith('/') && tail !== '/r' ? Number(tail.slice(1)) : undefined;
  const modrm = tail && !tail.startsWith('/') ? Number.parseInt(tail, 16) : undefined;
  return {
    map,
    opcode: Number.parseInt(opcodeText, 16),
    prefix,
    plusRegister: opcodeText.endsWith('+r'),
    extension,
    modrm,
    hasModrm: tail !== undefined || specs.some((spec) => spec.inModrm),
    rexW,
    vexLength,
    operands: specs,
    options,
    text: operands ? `${encoding} ${operands}` : encoding,
  };
}

interface InsnDraft {
  readonly rows: readonly RowDraft[];
  readonly body: Insn['body'];
  readonly system?: boolean;
}

/** Declares an instruction. */
export function insn(name: string, draft: InsnDraft): Insn {
  const rows: Row[] = [];
  const result: Insn = { name, rows, body: draft.body, system: draft.system ?? false };
  for (const item of draft.rows) rows.push({ ...item, insn: result });
  return result;
}
