import type { Row } from '@hanok/x86';

/** 64-bit mode, or compatibility mode's 32-bit code. */
export type CaseMode = 32 | 64;

/** One way to use a row: what is fixed before registers, addresses and values are drawn. */
export interface Form {
  readonly row: Row;
  readonly mode: CaseMode;
  readonly bits: 16 | 32 | 64;
  /** ModRM.rm names memory. */
  readonly memory: boolean;
  readonly lock: boolean;
  readonly repeat: 0 | 0xf2 | 0xf3;
  /** Rounding, denormals and masks of MXCSR and the x87 control word are drawn too, not as after FNINIT. */
  readonly variedControl: boolean;
}

const VECTOR_KINDS = 'VWU';
const MMX_KINDS = 'PQN';

export function usesVectors(row: Row): boolean {
  return row.operands.some((spec) => VECTOR_KINDS.includes(spec.kind));
}

function isEscape(row: Row): boolean {
  return row.map === 0 && row.opcode >= 0xd8 && row.opcode <= 0xdf;
}

/** FLDENV, FNSTENV, FRSTOR, FNSAVE: the only x87 instructions with an operand size. */
function savesEnvironment(row: Row): boolean {
  const group = row.opcode === 0xd9 || row.opcode === 0xdd;
  return group && (row.extension === 4 || row.extension === 6) && row.operands.some((spec) => spec.kind === 'M');
}

/** x87 or MMX, which share registers. */
export function usesX87(row: Row): boolean {
  return isEscape(row) || row.opcode === 0x9b || row.operands.some((spec) => MMX_KINDS.includes(spec.kind));
}

/** CMPS and SCAS: the two repeat prefixes differ. */
function comparesStrings(row: Row): boolean {
  return row.map === 0 && [0xa6, 0xa7, 0xae, 0xaf].includes(row.opcode);
}

/** Operand sizes that a mode gives the row (SDM vol. 2A §2.2.1.2). 66 before a near branch differs by vendor, or goes where no code is. */
function rowSizes(row: Row, mode: CaseMode): (16 | 32 | 64)[] {
  if (mode === 64) return longSizes(row);
  if (row.rexW === true) return [];
  if (row.options.force64) return [32];
  return row.options.default64 ? [16, 32] : longSizes(row).filter((bits) => bits !== 64);
}

function longSizes(row: Row): (16 | 32 | 64)[] {
  if (row.rexW === true || row.options.force64) return [64];
  const wide = row.operands.some((spec) => spec.size === 'v' || spec.size === 'y');
  const bySize = wide || row.operands.some((spec) => spec.size === 'z');
  const withW: 64[] = row.rexW === false || !wide ? [] : [64];
  if (row.vexLength !== undefined) return [32, ...withW];
  switch (row.prefix) {
    case 'none': return [32, ...withW];
    case 0x66: return [16, ...withW];
    case 0xf2:
    case 0xf3: return bySize ? [16, 32, ...withW] : [32];
    default: {
      if (isEscape(row)) return savesEnvironment(row) ? [16, 32] : [32];
      if (row.options.default64) return [16, 64];
      return row.rexW === false ? [16, 32] : [16, 32, 64];
    }
  }
}

function memoryChoices(row: Row): boolean[] {
  if (row.modrm !== undefined) return [false];
  const rm = row.operands.find((spec) => 'EMRWUQNT'.includes(spec.kind));
  if (!rm) return [false];
  if (rm.kind === 'M') return [true];
  return 'EWQ'.includes(rm.kind) ? [false, true] : [false];
}

/** Every form of a row that exists in a mode. */
export function rowForms(row: Row, mode: CaseMode = 64): Form[] {
  if (mode === 64 ? row.options.not64 : row.options.only64) return [];
  const forms: Form[] = [];
  const repeats: Form['repeat'][] = !row.options.repeat ? [0] : comparesStrings(row) ? [0, 0xf3, 0xf2] : [0, 0xf3];
  const controls = usesVectors(row) || usesX87(row) ? [false, true] : [false];
  for (const bits of rowSizes(row, mode)) {
    for (const memory of memoryChoices(row)) {
      for (const lock of row.options.lock && memory ? [false, true] : [false]) {
        for (const repeat of repeats) {
          for (const variedControl of controls) forms.push({ row, mode, bits, memory, lock, repeat, variedControl });
        }
      }
    }
  }
  return forms;
}

/** Short name of a form for reports. */
export function describeForm(form: Form): string {
  const parts = [form.row.insn.name, `[${form.row.text}]`, `${form.bits}-bit`];
  if (form.mode === 32) parts.push('in 32-bit mode');
  if (form.row.operands.some((spec) => 'EWQM'.includes(spec.kind))) parts.push(form.memory ? 'memory' : 'register');
  if (form.lock) parts.push('LOCK');
  if (form.repeat) parts.push(form.repeat === 0xf3 ? 'REP' : 'REPNE');
  if (form.variedControl) parts.push('varied control');
  return parts.join(' ');
}
