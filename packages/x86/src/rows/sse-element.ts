import type { Emit, Operands, Value } from '../emit.ts';
import { insn, row } from '../insn.ts';
import { fromHalves, highHalf, isMmx, laneMask, lowHalf, withMmx } from './sse-vector.ts';

/** Single elements put into vectors and taken out of them (SDM vol. 1 §10.4.4, §12.10.6, §12.10.7). */

type ElementBits = 8 | 16 | 32 | 64;

/** Bit position of element `control` within its half. */
function position(e: Emit, bits: ElementBits, control: Value): Value {
  return e.shl(e.and(control, e.constant(64 / bits - 1)), e.constant(Math.log2(bits)));
}

function extractFromHalf(e: Emit, bits: ElementBits, half: Value, control: Value): Value {
  return e.zeroExtend(e.shrU(half, position(e, bits, control)), bits);
}

function insertIntoHalf(e: Emit, bits: ElementBits, half: Value, element: Value, control: Value): Value {
  const at = position(e, bits, control);
  const mask = (1n << BigInt(bits)) - 1n;
  return e.or(e.and(half, e.not(e.shl(e.constant(mask), at))), e.shl(e.zeroExtend(element, bits), at));
}

const inUpperHalf = (e: Emit, bits: ElementBits, control: Value) => e.bit(control, Math.log2(64 / bits));

function extract(e: Emit, bits: ElementBits, v: Value, control: Value): Value {
  return extractFromHalf(e, bits, e.select(inUpperHalf(e, bits, control), highHalf(e, v), lowHalf(e, v)), control);
}

function insert(e: Emit, bits: ElementBits, v: Value, element: Value, control: Value): Value {
  const [low, high] = [lowHalf(e, v), highHalf(e, v)];
  const upper = inUpperHalf(e, bits, control);
  const changed = insertIntoHalf(e, bits, e.select(upper, high, low), element, control);
  return fromHalves(e, e.select(upper, low, changed), e.select(upper, changed, high));
}

const extractBody = (bits: ElementBits | undefined) => (e: Emit, o: Operands) =>
  o.write(0, extract(e, bits ?? (o.sizeBits(0) as ElementBits), o.readVector(1), o.read(2)));

function insertBody(bits: ElementBits | undefined) {
  return (e: Emit, o: Operands) => {
    const element = o.read(1);
    o.writeVector(0, insert(e, bits ?? (o.sizeBits(1) as ElementBits), o.readVector(0), element, o.read(2)));
  };
}

export const PINSRB = insn('PINSRB', { rows: [row('66 0F 3A 20', 'Vx,Rd,Ib'), row('66 0F 3A 20', 'Vx,Mb,Ib')], body: insertBody(8) });
export const PINSRD = insn('PINSRD', { rows: [row('66 0F 3A 22', 'Vx,Ey,Ib')], body: insertBody(undefined) });
export const PINSRW = insn('PINSRW', {
  rows: [row('66 0F C4', 'Vx,Ew,Ib'), row('NP 0F C4', 'Pq,Ew,Ib')],
  body(e, o) {
    if (!isMmx(o)) {
      insertBody(16)(e, o);
      return;
    }
    withMmx(e, o, 0, () => {
      const word = o.read(1);
      o.write(0, insertIntoHalf(e, 16, o.read(0), word, o.read(2)));
    });
  },
});

export const PEXTRB = insn('PEXTRB', { rows: [row('66 0F 3A 14', 'Rd,Vx,Ib'), row('66 0F 3A 14', 'Mb,Vx,Ib')], body: extractBody(8) });
export const PEXTRD = insn('PEXTRD', { rows: [row('66 0F 3A 16', 'Ey,Vx,Ib')], body: extractBody(undefined) });
const EXTRACTPS = insn('EXTRACTPS', { rows: [row('66 0F 3A 17', 'Ed,Vx,Ib')], body: extractBody(32) });
export const PEXTRW = insn('PEXTRW', {
  rows: [row('66 0F C5', 'Gd,Ux,Ib'), row('66 0F 3A 15', 'Rd,Vx,Ib'), row('66 0F 3A 15', 'Mw,Vx,Ib'), row('NP 0F C5', 'Gd,Nq,Ib')],
  body(e, o) {
    if (o.sizeBits(1) === 128) extractBody(16)(e, o);
    else withMmx(e, o, undefined, () => o.write(0, extractFromHalf(e, 16, o.read(1), o.read(2))));
  },
});

/** The immediate: the source's element in bits 7:6 (not from memory), the destination's in 5:4, elements to clear in 3:0. */
export const INSERTPS = insn('INSERTPS', {
  rows: [row('66 0F 3A 21', 'Vx,Wd,Ib')],
  body(e, o) {
    const control = o.read(2);
    const source = o.readVector(1);
    const element = o.isMemory(1) ? lowHalf(e, source) : extract(e, 32, source, e.shrU(control, e.constant(6)));
    const inserted = insert(e, 32, o.readVector(0), element, e.shrU(control, e.constant(4)));
    o.writeVector(0, e.op('v128.andnot', inserted, laneMask(e, 4, control)));
  },
});

export const SSE_ELEMENT = [PINSRB, PINSRW, PINSRD, PEXTRB, PEXTRW, PEXTRD, EXTRACTPS, INSERTPS];
