import { type InstructionChoice, operandBits } from './encode.ts';
import type { Form } from './forms.ts';
import { usesVectors, usesX87 } from './forms.ts';
import { ARITHMETIC_FLAGS, FLAG, FX, LAYOUT } from './layout.ts';
import { doublePattern, extendedPattern, integerPattern, type Random, singlePattern } from './random.ts';

/** What kind of numbers an instruction works on, so that operands are often interesting to it. */
export type Domain = 'integer' | 'single' | 'double' | 'extended';

const IDLE_POOL_SIZE = 16;

/** A case under construction. Preparations and the address chooser change it in place. */
export interface Draft {
  readonly random: Random;
  readonly form: Form;
  readonly addressBits: 32 | 64;
  readonly codeAddress: number;
  readonly gpr: BigUint64Array;
  readonly fx: Uint8Array;
  readonly fxView: DataView;
  readonly memory: Uint8Array;
  readonly memoryView: DataView;
  rflags: number;
  /** Operands as chosen so far; set before the addresses. */
  operands: InstructionChoice['operands'];
  /** Where the memory operand lies, when there is one. */
  operandAddress: number | undefined;
  /** Exits beyond the next instruction. */
  readonly targets: number[];
}

/** Numbers an instruction of this name takes. */
export function domains(form: Form): readonly Domain[] {
  const { name } = form.row.insn;
  if (usesX87(form.row) && name.startsWith('F')) return ['extended', 'single', 'double', 'integer'];
  if (!usesVectors(form.row)) return ['integer'];
  if (/^CVT|^MOV/.test(name)) return ['single', 'double', 'integer'];
  if (/(PS|SS)$/.test(name)) return ['single', 'single', 'single', 'integer'];
  if (/(PD|SD)$/.test(name)) return ['double', 'double', 'double', 'integer'];
  return ['integer'];
}

/** Fills `bytes` bytes at `offset` with patterns of the domain. */
export function fillPattern(random: Random, view: DataView, offset: number, bytes: number, domain: Domain): void {
  if (domain === 'extended' && bytes >= 10) {
    const { significand, signExponent } = extendedPattern(random);
    view.setBigUint64(offset, significand, true);
    view.setUint16(offset + 8, signExponent, true);
    return;
  }
  let at = 0;
  if (domain === 'single') for (; at + 4 <= bytes; at += 4) view.setUint32(offset + at, singlePattern(random), true);
  for (; at + 8 <= bytes; at += 8) view.setBigUint64(offset + at, domain === 'double' ? doublePattern(random) : integerPattern(random), true);
  const rest = integerPattern(random);
  for (let shift = 0n; at < bytes; at++, shift += 8n) view.setUint8(offset + at, Number((rest >> shift) & 0xffn));
}

/** MXCSR with rounding, FTZ, DAZ, masks and sticky flags as drawn (SDM vol. 1 §10.2.3). */
function variedMxcsr(random: Random): number {
  const rounding = random.below(4) << 13;
  const denormals = random.oneIn(3) ? random.pick([0x8000, 0x40, 0x8040]) : 0;
  const masks = random.oneIn(4) ? random.u32() & 0x1f80 : 0x1f80;
  const flags = random.oneIn(3) ? random.u32() & 0x3f : 0;
  return rounding | denormals | masks | flags;
}

/** Control word (SDM vol. 1 §8.1.5): precision control 1 is reserved. */
function variedControlWord(random: Random): number {
  const masks = random.oneIn(4) ? random.u32() & 0x3f : 0x3f;
  return (random.below(4) << 10) | (random.pick([0, 2, 3]) << 8) | 0x40 | masks;
}

function fillX87(random: Random, view: DataView, form: Form): void {
  const control = form.variedControl ? variedControlWord(random) : 0x037f;
  const flags = random.oneIn(4) ? random.u32() & 0x7f : 0;
  // ES and B say that an unmasked exception is pending (SDM vol. 1 §8.1.3.3); most instructions then raise #MF.
  const pending = flags & 0x3f & ~control ? 0x8080 : 0;
  const status = (random.below(8) << 11) | (random.u32() & 0x4700) | flags | pending;
  view.setUint16(FX.control, control, true);
  view.setUint16(FX.status, status, true);
  view.setUint8(FX.tag, random.oneIn(4) ? random.pick([0, random.u32() & 0xff]) : 0xff);
  for (let index = 0; index < 8; index++) fillPattern(random, view, FX.registers + 16 * index, 10, 'extended');
}

function fillVectors(random: Random, view: DataView, form: Form): void {
  const choices = domains(form);
  const domain = random.pick(choices);
  for (let index = 0; index < 16; index++) {
    fillPattern(random, view, FX.xmm + 16 * index, 16, random.oneIn(8) ? random.pick(choices) : domain);
  }
}

/** Source of drafts. State an instruction does not look at comes from a small pool, since drawing it costs time. */
export class Drafts {
  readonly #idleFx: Uint8Array[] = [];
  readonly #idleMemory: Uint8Array[] = [];

  constructor(random: Random) {
    for (let count = 0; count < IDLE_POOL_SIZE; count++) {
      const fx = new Uint8Array(FX.sizeBytes);
      const view = new DataView(fx.buffer);
      view.setUint16(FX.control, 0x037f, true);
      view.setUint16(FX.status, random.below(8) << 11, true);
      view.setUint8(FX.tag, random.u32());
      view.setUint32(FX.mxcsr, 0x1f80, true);
      for (let index = 0; index < 8; index++) fillPattern(random, view, FX.registers + 16 * index, 10, 'extended');
      fillPattern(random, view, FX.xmm, 256, 'integer');
      this.#idleFx.push(fx);
      const memory = new Uint8Array(LAYOUT.windowBytes);
      fillPattern(random, new DataView(memory.buffer), 0, memory.length, 'integer');
      this.#idleMemory.push(memory);
    }
  }

  create(random: Random, form: Form): Draft {
    const gpr = new BigUint64Array(16);
    for (let index = 0; index < 16; index++) gpr[index] = integerPattern(random);
    if (random.oneIn(4)) gpr[random.below(16)] = gpr[random.below(16)]!;
    const fx = random.pick(this.#idleFx).slice();
    const fxView = new DataView(fx.buffer);
    if (usesX87(form.row)) fillX87(random, fxView, form);
    if (usesVectors(form.row)) {
      fillVectors(random, fxView, form);
      if (form.variedControl) fxView.setUint32(FX.mxcsr, variedMxcsr(random), true);
    }
    const memory = random.pick(this.#idleMemory).slice();
    const nearPageEnd = random.oneIn(16);
    return {
      random,
      form,
      addressBits: form.mode === 32 || random.oneIn(8) ? 32 : 64,
      codeAddress: LAYOUT.codeBase + (nearPageEnd ? 0x1000 - random.between(1, 14) : 0xc00 + random.below(0x200)),
      gpr,
      fx,
      fxView,
      memory,
      memoryView: new DataView(memory.buffer),
      rflags: (random.u32() & ARITHMETIC_FLAGS) | (random.oneIn(2) ? FLAG.DF : 0) | (random.oneIn(64) ? FLAG.TF : 0) | (random.oneIn(48) ? FLAG.AC : 0),
      operands: [],
      operandAddress: undefined,
      targets: [],
    };
  }
}

/** Bytes of the row's memory operand; a guess that is large enough where the notation gives none. */
export function memoryOperandBytes(form: Form): number {
  const spec = form.row.operands.find((item) => 'EMWQO'.includes(item.kind));
  if (!spec) return 0;
  if (spec.size === 'none' || spec.size === 's' || spec.size === 'p') return 512;
  return operandBits(spec, form.bits) / 8;
}
