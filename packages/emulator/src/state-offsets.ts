import type { StateName } from '@hanok/x86';
import { CPU, SEGMENT_INDEX, segmentField } from './layout.ts';

/** Where in the state block lies what bodies name; RIP is worked out. */
export const STATE_OFFSETS: Record<Exclude<StateName, 'rip'>, number> = {
  systemFlags: CPU.systemFlags,
  mxcsr: CPU.mxcsr,
  x87Words: CPU.x87Control,
  cpl: CPU.cpl,
  cr0: CPU.cr0,
  cr4: CPU.cr4,
  efer: CPU.efer,
  stackMask: CPU.stackMask,
  shadowRip: CPU.shadowRip,
  repeatSteps: CPU.repeatSteps,
  interruptPending: CPU.interruptPending,
  gsBase: segmentField(SEGMENT_INDEX.GS, 'base'),
  kernelGsBase: CPU.kernelGsBase,
  gdtBase: CPU.gdtBase,
  gdtLimit: CPU.gdtLimit,
  star: CPU.star,
  lstar: CPU.lstar,
  fmask: CPU.fmask,
  nmiBlocked: CPU.nmiBlocked,
  tscAux: CPU.tscAux,
  dr7: CPU.debug + 40,
  selectorES: segmentField(SEGMENT_INDEX.ES, 'selector'),
  selectorDS: segmentField(SEGMENT_INDEX.DS, 'selector'),
  selectorFS: segmentField(SEGMENT_INDEX.FS, 'selector'),
  selectorGS: segmentField(SEGMENT_INDEX.GS, 'selector'),
  selectorSS: segmentField(SEGMENT_INDEX.SS, 'selector'),
};
