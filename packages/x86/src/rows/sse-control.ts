import { Vector } from '../emit.ts';
import { insn, row } from '../insn.ts';

/** State management, ordering and cache hints of SSE and SSE2 (SDM vol. 1 §10.4.6, §10.5, §11.4.4). */

/** Bits 31:16 of MXCSR are reserved; setting one is #GP (SDM vol. 1 §10.2.3). */
const MXCSR_RESERVED = 0xffff_0000n;

export const LDMXCSR = insn('LDMXCSR', {
  rows: [row('NP 0F AE /2', 'Md', { sse: true })],
  body(e, o) {
    const value = o.read(0);
    e.if(e.nez(e.and(value, e.constant(MXCSR_RESERVED))), () => e.fault(Vector.GP, 0));
    e.setState('mxcsr', value);
  },
});
const STMXCSR = insn('STMXCSR', {
  rows: [row('NP 0F AE /3', 'Md', { sse: true })],
  body(e, o) {
    o.write(0, e.state('mxcsr'));
  },
});

/** ModRM.rm of the fences is ignored (SDM vol. 2A, "LFENCE"). */
function fenceRows(extension: number) {
  return Array.from({ length: 8 }, (_, rm) => row(`NP 0F AE ${(0xc0 + 8 * extension + rm).toString(16).toUpperCase()}`));
}

function nothing(): void {}

// Engines keep loads in order, and stores too; only a store and a later load may change places (SDM vol. 3A §9.2.2).
const LFENCE = insn('LFENCE', { rows: fenceRows(5), body: nothing });
export const MFENCE = insn('MFENCE', { rows: fenceRows(6), body: (e) => e.fence() });
export const SFENCE = insn('SFENCE', { rows: fenceRows(7), body: nothing });

/** Nothing is cached, but the address is checked as a load's would be. */
const cacheLine = (name: string, encoding: string) => insn(name, { rows: [row(encoding, 'Mb')], body: (_e, o) => void o.read(0) });
const CACHE_LINE = [cacheLine('CLFLUSH', 'NP 0F AE /7'), cacheLine('CLFLUSHOPT', '66 0F AE /7'), cacheLine('CLWB', '66 0F AE /6')];

/** Hints never fault. */
const PREFETCHNTA = insn('PREFETCHNTA', { rows: [row('0F 18 /0', 'Mb')], body: nothing });
const PREFETCHT0 = insn('PREFETCHT0', { rows: [row('0F 18 /1', 'Mb')], body: nothing });
const PREFETCHT1 = insn('PREFETCHT1', { rows: [row('0F 18 /2', 'Mb')], body: nothing });
const PREFETCHT2 = insn('PREFETCHT2', { rows: [row('0F 18 /3', 'Mb')], body: nothing });
export const PREFETCHW = insn('PREFETCHW', { rows: [row('0F 0D /1', 'Mb')], body: nothing });

export const SSE_CONTROL = [
  LDMXCSR, STMXCSR, LFENCE, MFENCE, SFENCE, ...CACHE_LINE, PREFETCHNTA, PREFETCHT0, PREFETCHT1, PREFETCHT2, PREFETCHW,
];
