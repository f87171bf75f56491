import { Exception, type Float80, INDEFINITE, isNaN80, isSignalingNaN, isUnsupported, quiet } from './float80.ts';
import type { FloatEnvironment } from './rounding.ts';

/** The masked response to an invalid operation. */
export function invalid(env: FloatEnvironment): Float80 {
  env.signal(Exception.IE);
  return INDEFINITE;
}

/** The NaN of two operands that are NaNs (SDM vol. 1 §4.8.3.5, table 4-7). */
function chooseNaN(a: Float80, b: Float80): Float80 {
  if (!isNaN80(b)) return a;
  if (!isNaN80(a)) return b;
  const signalingA = isSignalingNaN(a);
  if (signalingA !== isSignalingNaN(b)) return signalingA ? b : a;
  if (a.significand !== b.significand) return a.significand > b.significand ? a : b;
  return a.negative ? b : a;
}

/** The result when an operand is unsupported or a NaN, else undefined. */
export function specialOperand(env: FloatEnvironment, a: Float80, b: Float80 = a): Float80 | undefined {
  if (isUnsupported(a) || isUnsupported(b)) return invalid(env);
  if (!isNaN80(a) && !isNaN80(b)) return undefined;
  if (isSignalingNaN(a) || isSignalingNaN(b)) env.signal(Exception.IE);
  return quiet(chooseNaN(a, b));
}

/** Reports a denormal operand; true when that ends the operation. */
export function denormalOperand(env: FloatEnvironment, a: Float80, b: Float80 = a): boolean {
  return (a.denormal || b.denormal) && env.signal(Exception.DE);
}
