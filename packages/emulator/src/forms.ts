import { ALL_ROWS, type Decoded, effectiveBits, isLocked, type ModeBits, operandBits, type Row } from '@hanok/x86';
import { type Form, isMemoryOperand } from './operands.ts';

const REPEATS = [0, 0xf2, 0xf3] as const;
const SIZES = [8, 16, 32, 64];

/** Place of a form among its row's, for the decoder's table. */
function formIndex(memory: boolean, bits: number, addressBits: number, repeat: number, mode64: boolean, locked: boolean): number {
  const size = bits === 64 ? 3 : bits >> 4;
  const address = addressBits === 64 ? 2 : addressBits >> 5;
  const repeatIndex = repeat === 0 ? 0 : repeat - 0xf1;
  return (((((memory ? 1 : 0) * SIZES.length + size) * 3 + address) * 3 + repeatIndex) * 2 + (mode64 ? 1 : 0)) * 2 + (locked ? 1 : 0);
}

export const formIndexOf = (d: Decoded): number => formIndex(d.isMemory, d.bits, d.addressBits, d.repeat, d.mode === 64, isLocked(d));

export const FORM_INDEX_COUNT = 2 * SIZES.length * 3 * 3 * 2 * 2;

function lockChoices(row: Row, memory: boolean): readonly boolean[] {
  if (!memory || !row.options.lock) return [false];
  return row.options.lock === 'implied' ? [true] : [false, true];
}

function memoryChoices(row: Row): boolean[] {
  const kinds = row.operands.map(({ kind }) => kind);
  if (kinds.some((kind) => kind === 'M' || kind === 'O')) return [true];
  return kinds.some((kind) => kind === 'E' || kind === 'W' || kind === 'Q') ? [false, true] : [false];
}

/** Every form a row can take, with the decoder's index (several where the body does not tell them apart). */
export function formsOf(row: Row): { form: Form; indices: number[] }[] {
  const forms = new Map<string, { form: Form; indices: number[] }>();
  const { options } = row;
  const add = (mode: ModeBits, bits: Form['bits'], memory: boolean, addressBits: ModeBits, repeat: 0 | 0xf2 | 0xf3, locked: boolean) => {
    const mode64 = mode === 64;
    const form: Form = {
      row,
      memory,
      bits,
      addressBits: options.perAddressSize ? addressBits : 64,
      repeat,
      mode64: options.perMode ? mode64 : true,
      locked,
    };
    const key = formKey(form);
    const entry = forms.get(key) ?? { form, indices: [] };
    forms.set(key, entry);
    const index = formIndex(memory, bits, addressBits, repeat, mode64, locked);
    if (!entry.indices.includes(index)) entry.indices.push(index);
  };
  for (const mode of [64, 32, 16] as const) {
    if (mode === 64 ? options.not64 : options.only64) continue;
    for (const operandPrefix of [false, true]) {
      for (const rexW of mode === 64 ? [false, true] : [false]) {
        const bits = effectiveBits(row, mode, operandPrefix, rexW);
        for (const memory of memoryChoices(row)) {
          for (const addressBits of mode === 64 ? ([64, 32] as const) : ([32, 16] as const)) {
            for (const repeat of options.repeat ? REPEATS : ([0] as const)) {
              for (const locked of lockChoices(row, memory)) add(mode, bits, memory, addressBits, repeat, locked);
            }
          }
        }
      }
    }
  }
  return [...forms.values()];
}

/** Forms with the same key run the same code, whichever row they come from. */
export function formKey(form: Form): string {
  const { row, bits, addressBits, repeat, memory, mode64, locked } = form;
  const shapes = row.operands.map((spec) => {
    const size = operandBits(spec, bits);
    if (isMemoryOperand(spec, memory)) return `m${size}`;
    if (spec.kind === 'fixed') return spec.fixedClass === 'general' ? `r${size}` : `${spec.fixedClass}${spec.fixed}`;
    if ('EGBRZM'.includes(spec.kind)) return `r${size}`;
    if ('VWU'.includes(spec.kind)) return `x${size}`;
    if ('PQN'.includes(spec.kind)) return `q${size}`;
    return `${spec.kind}${size}`;
  });
  return [insnNumber(row), shapes.join(','), bits, addressBits, repeat, mode64, locked, row.options.unaligned ?? false].join('/');
}

const INSN_NUMBERS = new Map(ALL_ROWS.map((row) => row.insn).map((insn, index) => [insn, index]));
const insnNumber = (row: Row) => INSN_NUMBERS.get(row.insn)!;
