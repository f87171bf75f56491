import { Vector } from '@hanok/x86';
import { CR4 } from '../cpu-state.ts';
import type { SystemContext, SystemHelper } from '../helper.ts';
import { CPU } from '../layout.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSI = 6;

function divide128(context: SystemContext, dividend: bigint, divisor: bigint, fits: (quotient: bigint) => boolean): void {
  const quotient = dividend / divisor;
  if (!fits(quotient)) context.raise(Vector.DE);
  context.state.setRegister(RAX, BigInt.asUintN(64, quotient));
  context.state.setRegister(RDX, BigInt.asUintN(64, dividend % divisor));
}

/** Stops until an interrupt; a pending one ends it at once. */
function halt(context: SystemContext): void {
  if (context.state.cpl !== 0) context.raise(Vector.GP, 0);
  context.count('halt');
  context.stop('halt');
}

export function miscHelpers(): Record<string, SystemHelper> {
  return {
    halt,
    monitor: (context) => context.raise(Vector.UD),
    'monitor-wait': (context) => context.raise(Vector.UD),
    'read-performance-counter': (context) => context.raise(Vector.GP, 0),
    hypercall(context) {
      const { state } = context;
      const mask = state.mode === 64 ? ~0n : 0xffffffffn;
      const [number, ...args] = [RAX, RBX, RCX, RDX, RSI].map((register) => state.register(register) & mask) as [bigint, bigint, bigint, bigint, bigint];
      const result = context.hypercall(number, args);
      // A processor without virtualization extensions has no such instruction.
      if (result === undefined) context.raise(Vector.UD);
      context.count('hypercall');
      state.setRegister(RAX, BigInt.asUintN(64, result!));
    },
    cpuid(context) {
      const { state } = context;
      context.count('cpuid');
      const leaf = Number(state.register(RAX) & 0xffffffffn);
      const values = [...context.cpuid(leaf, Number(state.register(RCX) & 0xffffffffn))];
      // OSXSAVE tells programs that the system uses XSAVE.
      if (leaf === 1 && state.get(CPU.cr4) & CR4.OSXSAVE) values[2]! |= 1 << 27;
      [RAX, RBX, RCX, RDX].forEach((register, index) => state.setRegister(register, BigInt(values[index]! >>> 0)));
    },
    random: (context) => context.randomWord(),
    'divide-unsigned-128': (context, high, low, divisor) => divide128(context, (high! << 64n) | low!, divisor!, (quotient) => quotient >> 64n === 0n),
    'divide-signed-128': (context, high, low, divisor) =>
      divide128(context, BigInt.asIntN(128, (high! << 64n) | low!), BigInt.asIntN(64, divisor!), (quotient) => BigInt.asIntN(64, quotient) === quotient),
  };
}

