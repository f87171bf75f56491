import type { Helper } from '../helper.ts';
import { Condition } from './compare.ts';
import { type Float80, INDEFINITE, ONE } from './float80.ts';
import { Fpu } from './registers.ts';
import type { FloatEnvironment } from './rounding.ts';
import {
  angle, constantFunctions, exponentialMinus1, logarithmPlus1Times, logarithmTimes, type Trigonometric, trigonometric,
} from './transcendental.ts';

type Choice = (functions: Trigonometric, env: FloatEnvironment) => Float80;

/** ST(0) = function of ST(0); C2 tells of an operand out of range, which stays as it is. */
function single(choose: Choice): Helper {
  return (context) => {
    const fpu = new Fpu(context.view);
    const { env } = fpu;
    let conditions = 0;
    if (fpu.underflows(0)) {
      if (!env.aborted) fpu.set(0, INDEFINITE);
    } else {
      const functions = trigonometric(env, fpu.get(0));
      if (!functions) conditions = Condition.C2;
      else if (!env.aborted) fpu.set(0, choose(functions, env));
    }
    fpu.commit(conditions, Condition.C2);
  };
}

const INDEFINITE_FUNCTIONS = constantFunctions(INDEFINITE);

/** ST(0) = first result, then the second is pushed. */
function pair(first: Choice, second: Choice): Helper {
  return (context) => {
    const fpu = new Fpu(context.view);
    const { env } = fpu;
    const functions = fpu.underflows(0) || fpu.overflows() ? INDEFINITE_FUNCTIONS : trigonometric(env, fpu.get(0));
    if (functions && !env.aborted) {
      fpu.set(0, first(functions, env));
      fpu.push(second(functions, env));
    }
    fpu.commit(functions ? 0 : Condition.C2, Condition.C2);
  };
}

/** ST(1) = function of ST(0) and ST(1); pops. */
function binary(compute: (env: FloatEnvironment, x: Float80, y: Float80) => Float80): Helper {
  return (context) => {
    const fpu = new Fpu(context.view);
    const result = fpu.underflows(0, 1) ? INDEFINITE : compute(fpu.env, fpu.get(0), fpu.get(1));
    if (!fpu.env.aborted) {
      fpu.set(1, result);
      fpu.pop();
    }
    fpu.commit();
  };
}

export const TRANSCENDENTAL_HELPERS: Record<string, Helper> = {
  'x87-fsin': single((functions, env) => functions.sin(env)),
  'x87-fcos': single((functions, env) => functions.cos(env)),
  'x87-fsincos': pair((functions, env) => functions.sin(env), (functions, env) => functions.cos(env)),
  /** A NaN is pushed over a NaN, else 1. */
  'x87-fptan': pair((functions, env) => functions.tan(env), (functions) => functions.special ?? ONE),
  'x87-f2xm1': (context) => {
    const fpu = new Fpu(context.view);
    const result = fpu.underflows(0) ? INDEFINITE : exponentialMinus1(fpu.env, fpu.get(0));
    if (!fpu.env.aborted) fpu.set(0, result);
    fpu.commit();
  },
  'x87-fyl2x': binary(logarithmTimes),
  'x87-fyl2xp1': binary(logarithmPlus1Times),
  'x87-fpatan': binary(angle),
};
