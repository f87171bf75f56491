import type { Helper, HelperContext } from '../helper.ts';
import { CPU } from '../layout.ts';
import { X87_HELPERS } from '../x87/helpers.ts';
import { Status, TAGS_EMPTY } from '../x87/registers.ts';

const CR0_EM = 4n;
const UD = 6;

const REGISTER_BYTES = 16;
const REGISTER_COUNT = 8n;

/** Emulation makes MMX instructions undefined (SDM vol. 3A §13.1); for the rest they wait like an x87 instruction. */
function checkMmx(context: HelperContext): void {
  if (context.view.getBigUint64(CPU.cr0, true) & CR0_EM) context.raise(UD);
  X87_HELPERS['x87-begin-control']!(context);
}

function setTopAndTags(view: DataView, tags: number): void {
  view.setUint16(CPU.x87Status, view.getUint16(CPU.x87Status, true) & ~Status.TOP, true);
  view.setUint16(CPU.x87Tag, tags, true);
}

/**
 * What every MMX instruction but EMMS does to the x87 state: the top of stack becomes 0, all registers count as in use, and
 * a written register's sign and exponent become ones (SDM vol. 1 §9.5.1).
 */
function enterMmx(view: DataView, written: bigint): void {
  setTopAndTags(view, 0);
  if (written < REGISTER_COUNT) view.setUint16(CPU.x87Registers + Number(written) * REGISTER_BYTES + 8, 0xffff, true);
}

/** Every helper that the rows of MMX and SSE call, by name. */
export const SSE_HELPERS: Record<string, Helper> = {
  /** Raises what an MMX instruction raises before it looks at memory. */
  'mmx-check': (context) => checkMmx(context),
  /** @param written number of the MMX register written, or 8 for none */
  'mmx-enter': (context, written) => {
    checkMmx(context);
    enterMmx(context.view, written!);
  },
  emms: (context) => {
    checkMmx(context);
    setTopAndTags(context.view, TAGS_EMPTY);
  },
};
