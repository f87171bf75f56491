import { type Emit, type Operands, type Value, Vector } from '../emit.ts';
import { insn, row } from '../insn.ts';
import { fromHalves, highHalf, highHalves, lowHalf, lowHalves, mergeLow, vectorMove, withMmx, zeroVector } from './sse-vector.ts';

/** Moves of SSE and SSE2 (SDM vol. 1 §10.4.1.1, §11.4.1.1, §11.4.2). */

function copy(_e: Emit, o: Operands): void {
  o.writeVector(0, o.readVector(1));
}

export const MOVAPS = insn('MOVAPS', { rows: [row('NP 0F 28', 'Vps,Wps'), row('NP 0F 29', 'Wps,Vps')], body: copy });
const MOVAPD = insn('MOVAPD', { rows: [row('66 0F 28', 'Vpd,Wpd'), row('66 0F 29', 'Wpd,Vpd')], body: copy });
export const MOVDQA = insn('MOVDQA', { rows: [row('66 0F 6F', 'Vx,Wx'), row('66 0F 7F', 'Wx,Vx')], body: copy });

const UNALIGNED = { unaligned: true } as const;
export const MOVUPS = insn('MOVUPS', { rows: [row('NP 0F 10', 'Vps,Wps', UNALIGNED), row('NP 0F 11', 'Wps,Vps', UNALIGNED)], body: copy });
const MOVUPD = insn('MOVUPD', { rows: [row('66 0F 10', 'Vpd,Wpd', UNALIGNED), row('66 0F 11', 'Wpd,Vpd', UNALIGNED)], body: copy });
export const MOVDQU = insn('MOVDQU', { rows: [row('F3 0F 6F', 'Vx,Wx', UNALIGNED), row('F3 0F 7F', 'Wx,Vx', UNALIGNED)], body: copy });

const MOVNTPS = insn('MOVNTPS', { rows: [row('NP 0F 2B', 'Mps,Vps')], body: copy });
const MOVNTPD = insn('MOVNTPD', { rows: [row('66 0F 2B', 'Mpd,Vpd')], body: copy });
const MOVNTDQ = insn('MOVNTDQ', { rows: [row('66 0F E7', 'Mx,Vx')], body: copy });
export const MOVNTDQA = insn('MOVNTDQA', { rows: [row('66 0F 38 2A', 'Vx,Mx')], body: copy });
const MOVNTI = insn('MOVNTI', { rows: [row('NP 0F C3', 'My,Gy')], body: (_e, o) => o.write(0, o.read(1)) });

/** From memory the rest is cleared, between registers it is kept. */
function copyScalar(e: Emit, o: Operands, bytes: 4 | 8): void {
  const source = o.readVector(1);
  o.writeVector(0, o.isMemory(0) || o.isMemory(1) ? source : mergeLow(e, bytes, source, o.readVector(0)));
}

const MOVSS = insn('MOVSS', { rows: [row('F3 0F 10', 'Vss,Wss'), row('F3 0F 11', 'Wss,Vss')], body: (e, o) => copyScalar(e, o, 4) });
/** Not the string instruction of the same name. */
const MOVSD_SCALAR = insn('MOVSD', { rows: [row('F2 0F 10', 'Vsd,Wsd'), row('F2 0F 11', 'Wsd,Vsd')], body: (e, o) => copyScalar(e, o, 8) });

/** Duplicated elements of SSE3 (SDM vol. 1 §12.3.3), and a load that need not be aligned. */
const even = [0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11, 8, 9, 10, 11];
const DUPLICATES = [
  vectorMove('MOVSLDUP', 'F3 0F 12', 'Vps,Wps', (e, v) => e.shuffle(even, v, v)),
  vectorMove('MOVSHDUP', 'F3 0F 16', 'Vps,Wps', (e, v) => e.shuffle(even.map((byte) => byte + 4), v, v)),
  vectorMove('MOVDDUP', 'F2 0F 12', 'Vq,Wq', (e, v) => lowHalves(e, v, v)),
  vectorMove('LDDQU', 'F2 0F F0', 'Vx,Mx', (_, v) => v, UNALIGNED),
];

function loadLow(e: Emit, o: Operands): void {
  const source = o.readVector(1);
  o.writeVector(0, mergeLow(e, 8, source, o.readVector(0)));
}

function loadHigh(e: Emit, o: Operands): void {
  const source = o.readVector(1);
  o.writeVector(0, lowHalves(e, o.readVector(0), source));
}

function storeHigh(e: Emit, o: Operands): void {
  const source = o.readVector(1);
  o.writeVector(0, highHalves(e, source, source));
}

const MOVLPS_LOAD = insn('MOVLPS', { rows: [row('NP 0F 12', 'Vq,Mq')], body: loadLow });
const MOVLPS_STORE = insn('MOVLPS', { rows: [row('NP 0F 13', 'Mq,Vq')], body: copy });
const MOVLPD_LOAD = insn('MOVLPD', { rows: [row('66 0F 12', 'Vq,Mq')], body: loadLow });
const MOVLPD_STORE = insn('MOVLPD', { rows: [row('66 0F 13', 'Mq,Vq')], body: copy });
const MOVHPS_LOAD = insn('MOVHPS', { rows: [row('NP 0F 16', 'Vq,Mq')], body: loadHigh });
const MOVHPS_STORE = insn('MOVHPS', { rows: [row('NP 0F 17', 'Mq,Vq')], body: storeHigh });
const MOVHPD_LOAD = insn('MOVHPD', { rows: [row('66 0F 16', 'Vq,Mq')], body: loadHigh });
const MOVHPD_STORE = insn('MOVHPD', { rows: [row('66 0F 17', 'Mq,Vq')], body: storeHigh });
const MOVLHPS = insn('MOVLHPS', { rows: [row('NP 0F 16', 'Vq,Uq')], body: loadHigh });
const MOVHLPS = insn('MOVHLPS', {
  rows: [row('NP 0F 12', 'Vq,Uq')],
  body: (e, o) => o.writeVector(0, highHalves(e, o.readVector(1), o.readVector(0))),
});

/** MOVD, and MOVQ with REX.W, between vector and general registers. */
const MOVD_LOAD = insn('MOVD', { rows: [row('66 0F 6E', 'Vx,Ey')], body: (e, o) => o.writeVector(0, fromHalves(e, o.read(1))) });
const MOVD_STORE = insn('MOVD', { rows: [row('66 0F 7E', 'Ey,Vx')], body: (e, o) => o.write(0, lowHalf(e, o.readVector(1))) });
/** The register forms clear the destination's upper half. */
export const MOVQ = insn('MOVQ', {
  rows: [row('F3 0F 7E', 'Vx,Wq'), row('66 0F D6', 'Wq,Vx')],
  body: (e, o) => o.writeVector(0, mergeLow(e, 8, o.readVector(1), zeroVector(e))),
});

const MOVMSKPS = insn('MOVMSKPS', {
  rows: [row('NP 0F 50', 'Gd,Ups')],
  body: (e, o) => o.write(0, e.widen(e.op('i32x4.bitmask', o.readVector(1)))),
});
const MOVMSKPD = insn('MOVMSKPD', {
  rows: [row('66 0F 50', 'Gd,Upd')],
  body: (e, o) => o.write(0, e.widen(e.op('i64x2.bitmask', o.readVector(1)))),
});
export const PMOVMSKB = insn('PMOVMSKB', {
  rows: [row('66 0F D7', 'Gd,Ux'), row('NP 0F D7', 'Gd,Nq')],
  body(e, o) {
    if (o.sizeBits(1) === 128) o.write(0, e.widen(e.op('i8x16.bitmask', o.readVector(1))));
    else withMmx(e, o, undefined, () => o.write(0, e.widen(e.op('i8x16.bitmask', fromHalves(e, o.read(1))))));
  },
});

const AC_BIT = 18;
const AM_BIT = 18;

/** The bytes are stored one by one, but their place is aligned where that is checked (SDM vol. 3A §6.15, "#AC"). */
function requireAligned(e: Emit, offset: Value, sizeBytes: number): void {
  const checked = e.op('i32.and', e.bit(e.state('systemFlags'), AC_BIT), e.bit(e.state('cr0'), AM_BIT));
  const misaligned = e.nez(e.and(offset, e.constant(sizeBytes - 1)));
  e.if(e.op('i32.and', e.op('i32.and', checked, misaligned), e.eq(e.state('cpl'), e.constant(3))), () => e.fault(Vector.AC, 0));
}

/** Stores the bytes whose mask byte has its top bit set, lowest first, at DS:rDI. */
function storeMasked(e: Emit, o: Operands, low: Value, high: Value, mask: Value): void {
  const remaining = e.variable(e.widen(e.op('i8x16.bitmask', mask)));
  const base = e.register(7, o.addressBits);
  requireAligned(e, base, 8);
  e.if(e.nez(remaining.get()), () => {
    e.loopWhile(() => {
      const bits = remaining.get();
      const index = e.op('i64.ctz', bits);
      const half = e.select(e.bit(index, 3), high, low);
      const byte = e.shrU(half, e.shl(e.and(index, e.constant(7)), e.constant(3)));
      e.store('data', e.zeroExtend(e.add(base, index), o.addressBits), e.zeroExtend(byte, 8), 8);
      const rest = e.and(bits, e.sub(bits, e.constant(1)));
      remaining.set(rest);
      return e.nez(rest);
    });
  });
}

const PER_ADDRESS_SIZE = { perAddressSize: true } as const;
export const MASKMOVDQU = insn('MASKMOVDQU', {
  rows: [row('66 0F F7', 'Vx,Ux', PER_ADDRESS_SIZE)],
  body(e, o) {
    const data = o.readVector(0);
    storeMasked(e, o, lowHalf(e, data), highHalf(e, data), o.readVector(1));
  },
});
export const MASKMOVQ = insn('MASKMOVQ', {
  rows: [row('NP 0F F7', 'Pq,Nq', PER_ADDRESS_SIZE)],
  body(e, o) {
    const store = () => storeMasked(e, o, o.read(0), e.constant(0), fromHalves(e, o.read(1)));
    withMmx(e, o, undefined, store, true);
  },
});

export const SSE_MOVE = [
  MOVAPS, MOVAPD, MOVDQA, MOVUPS, MOVUPD, MOVDQU, MOVNTPS, MOVNTPD, MOVNTDQ, MOVNTDQA, MOVNTI, ...DUPLICATES, MOVSS, MOVSD_SCALAR,
  MOVLPS_LOAD, MOVLPS_STORE, MOVLPD_LOAD, MOVLPD_STORE, MOVHPS_LOAD, MOVHPS_STORE, MOVHPD_LOAD, MOVHPD_STORE, MOVLHPS, MOVHLPS,
  MOVD_LOAD, MOVD_STORE, MOVQ, MOVMSKPS, MOVMSKPD, PMOVMSKB, MASKMOVDQU, MASKMOVQ,
];
