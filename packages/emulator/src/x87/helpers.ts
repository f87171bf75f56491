import { CPU, SEGMENT, SEGMENT_INDEX } from '../layout.ts';
import type { Helper, HelperContext } from '../helper.ts';
import { ARITHMETIC_HELPERS } from './arithmetic-helpers.ts';
import { ENVIRONMENT_HELPERS } from './environment.ts';
import { FXSAVE_HELPERS } from './fxsave.ts';
import { isRealAddressing } from './memory.ts';
import { Status } from './registers.ts';
import { STACK_HELPERS } from './stack-helpers.ts';
import { TRANSCENDENTAL_HELPERS } from './transcendental-helpers.ts';

const CR0_MP = 2n;
const CR0_EM = 4n;
const CR0_TS = 8n;
const CR0_NE = 0x20n;
const NM = 7;
const MF = 16;

function checkAvailable(context: HelperContext, bits: bigint): void {
  if (context.view.getBigUint64(CPU.cr0, true) & bits) context.raise(NM);
}

/**
 * An unmasked exception of an earlier instruction. Without CR0.NE it would be reported through FERR# and the interrupt
 * controller (SDM vol. 1 §D.1), which no machine of ours wires; the exception stays pending then.
 */
function checkPending(context: HelperContext): void {
  if (!(context.view.getUint16(CPU.x87Status, true) & Status.ES)) return;
  if (context.view.getBigUint64(CPU.cr0, true) & CR0_NE) context.raise(MF);
}

const COMMON: Record<string, Helper> = {
  /** Before every waiting instruction but FWAIT and the pointer-preserving ones. */
  'x87-begin': (context) => {
    checkAvailable(context, CR0_EM | CR0_TS);
    checkPending(context);
    const { view } = context;
    const base = isRealAddressing(view) ? view.getBigUint64(CPU.segments + SEGMENT_INDEX.CS * SEGMENT.sizeBytes + SEGMENT.base, true) : 0n;
    view.setBigUint64(CPU.x87InstructionPointer, base + view.getBigUint64(CPU.rip, true), true);
  },
  /** Before control instructions that wait. */
  'x87-begin-control': (context) => {
    checkAvailable(context, CR0_EM | CR0_TS);
    checkPending(context);
  },
  /** Before control instructions that do not wait. */
  'x87-begin-no-wait': (context) => {
    checkAvailable(context, CR0_EM | CR0_TS);
  },
  /** FWAIT: CR0.MP decides whether CR0.TS counts, and CR0.EM does not (SDM vol. 3A §2.5). */
  'x87-wait': (context) => {
    const cr0 = context.view.getBigUint64(CPU.cr0, true);
    if ((cr0 & CR0_MP) !== 0n && (cr0 & CR0_TS) !== 0n) context.raise(NM);
    checkPending(context);
  },
};

/** Every helper that the rows of x87 call, by name. */
export const X87_HELPERS: Record<string, Helper> = {
  ...COMMON, ...STACK_HELPERS, ...ARITHMETIC_HELPERS, ...ENVIRONMENT_HELPERS, ...FXSAVE_HELPERS, ...TRANSCENDENTAL_HELPERS,
};
