import { insn, row } from '../insn.ts';
import { fromHalves, lowHalf, withMmx } from './sse-vector.ts';

/** MMX instructions without a form for XMM registers (SDM vol. 1 ch. 9); the others are declared beside that form. */

const MOVD_MMX_LOAD = insn('MOVD', {
  rows: [row('NP 0F 6E', 'Pq,Ey')],
  body: (e, o) => withMmx(e, o, 0, () => o.write(0, o.read(1))),
});
const MOVD_MMX_STORE = insn('MOVD', {
  rows: [row('NP 0F 7E', 'Ey,Pq')],
  body: (e, o) => withMmx(e, o, undefined, () => o.write(0, o.read(1))),
});
const MOVQ_MMX = insn('MOVQ', {
  rows: [row('NP 0F 6F', 'Pq,Qq'), row('NP 0F 7F', 'Qq,Pq')],
  body: (e, o) => withMmx(e, o, 0, () => o.write(0, o.read(1))),
});
export const MOVNTQ = insn('MOVNTQ', {
  rows: [row('NP 0F E7', 'Mq,Pq')],
  body: (e, o) => withMmx(e, o, undefined, () => o.write(0, o.read(1))),
});
const MOVDQ2Q = insn('MOVDQ2Q', {
  rows: [row('F2 0F D6', 'Pq,Uq')],
  body: (e, o) => withMmx(e, o, 0, () => o.write(0, lowHalf(e, o.readVector(1)))),
});
const MOVQ2DQ = insn('MOVQ2DQ', {
  rows: [row('F3 0F D6', 'Vdq,Nq')],
  body: (e, o) => withMmx(e, o, undefined, () => o.writeVector(0, fromHalves(e, o.read(1)))),
});
export const EMMS = insn('EMMS', { rows: [row('NP 0F 77')], body: (e) => void e.helper('emms') });

export const MMX = [MOVD_MMX_LOAD, MOVD_MMX_STORE, MOVQ_MMX, MOVNTQ, MOVDQ2Q, MOVQ2DQ, EMMS];
