import { Vector } from '@hanok/x86';
import { EFER, RFLAGS } from '../cpu-state.ts';
import type { SystemContext, SystemHelper } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';
import { readFlags, writeFlags } from './flags.ts';
import { FLAT_CODE32, FLAT_CODE64, FLAT_DATA } from '../privilege-emit.ts';
import { isCanonical, MSR, type MsrFile } from './msr.ts';

const RCX = 1;
const RDX = 2;
const RSP = 4;
const R11 = 11;
/** The flat segments that fast system calls load without looking at the descriptor tables (SDM vol. 2B, "SYSCALL"). */
function loadFlat(context: SystemContext, cs: number, ss: number, cpl: number, code: number): void {
  const { state } = context;
  const dpl = cpl << 5;
  state.set(CPU.cpl, BigInt(cpl));
  state.setSegment(SEGMENT_INDEX.SS, { selector: ss, base: 0n, limit: 0xffffffff, access: FLAT_DATA | dpl });
  state.setSegment(SEGMENT_INDEX.CS, { selector: cs, base: 0n, limit: 0xffffffff, access: code | dpl });
}

export function systemCallHelpers(msrs: MsrFile): Record<string, SystemHelper> {
  const msr = (number: number) => msrs.get(number)!;
  return {
    'system-call'(context) {
      const { state } = context;
      // Intel processors have it in 64-bit mode only (SDM vol. 2B, "SYSCALL").
      if (!(state.get(CPU.efer) & EFER.SCE) || state.mode !== 64) context.raise(Vector.UD);
      const flags = readFlags(state);
      const target = msr(MSR.Lstar);
      state.setRegister(RCX, context.nextRip);
      state.setRegister(R11, flags & ~RFLAGS.RF);
      writeFlags(state, flags & ~msr(MSR.Fmask) & ~RFLAGS.RF);
      const cs = Number((msr(MSR.Star) >> 32n) & 0xfffcn);
      loadFlat(context, cs, cs + 8, 0, FLAT_CODE64);
      context.jump(target);
      context.stepByNewFlags();
    },
    'system-return'(context, bits) {
      const { state } = context;
      if (!(state.get(CPU.efer) & EFER.SCE) || state.mode !== 64) context.raise(Vector.UD);
      const wide = bits === 64n;
      if (state.cpl !== 0 || (wide && !isCanonical(state.register(RCX)))) context.raise(Vector.GP, 0);
      const selectors = Number((msr(MSR.Star) >> 48n) & 0xffffn);
      const cs = ((wide ? selectors + 16 : selectors) & 0xffff) | 3;
      const changeable = RFLAGS.TF | RFLAGS.IF | RFLAGS.DF | RFLAGS.IOPL | RFLAGS.NT | RFLAGS.AC | RFLAGS.ID | 0x8d5n;
      writeFlags(state, state.register(R11) & changeable);
      loadFlat(context, cs, ((selectors + 8) & 0xffff) | 3, 3, wide ? FLAT_CODE64 : FLAT_CODE32);
      context.jump(wide ? state.register(RCX) : state.register(RCX) & 0xffffffffn);
      context.stepByNewFlags();
      if (readFlags(state) & RFLAGS.IF) context.interruptWindow();
    },
    'system-enter'(context) {
      const { state } = context;
      const cs = Number(msr(MSR.SysenterCs) & 0xfffcn);
      if (!state.isProtected || cs === 0) context.raise(Vector.GP, 0);
      writeFlags(state, readFlags(state) & ~(RFLAGS.IF | RFLAGS.VM));
      const long = state.isLong;
      loadFlat(context, cs, cs + 8, 0, long ? FLAT_CODE64 : FLAT_CODE32);
      state.setRegister(RSP, long ? msr(MSR.SysenterEsp) : msr(MSR.SysenterEsp) & 0xffffffffn);
      context.jump(long ? msr(MSR.SysenterEip) : msr(MSR.SysenterEip) & 0xffffffffn);
    },
    'system-exit'(context, bits) {
      const { state } = context;
      const selector = Number(msr(MSR.SysenterCs) & 0xfffcn);
      if (!state.isProtected || selector === 0 || state.cpl !== 0) context.raise(Vector.GP, 0);
      const wide = bits === 64n;
      const [rip, rsp] = [state.register(RDX), state.register(RCX)];
      if (wide && !(isCanonical(rip) && isCanonical(rsp))) context.raise(Vector.GP, 0);
      const cs = (selector + (wide ? 32 : 16)) | 3;
      loadFlat(context, cs, cs + 8, 3, wide ? FLAT_CODE64 : FLAT_CODE32);
      state.setRegister(RSP, wide ? rsp : rsp & 0xffffffffn);
      context.jump(wide ? rip : rip & 0xffffffffn);
    },
  };
}
