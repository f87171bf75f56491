import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodePages, ExitCounters, GuestMemory, PostedInterrupts } from '@hanok/machine';
import { buildInterpreter, EmulatedVcpu, machineMemory, DEFAULT_CPU_MODEL } from '../index.ts';
import { TimeStamp } from '../time-stamp.ts';

const RAM_BYTES = 0x20_0000;
const CODE = 0x1_0000;
const CR0 = 0x8000_0033n;
/** PAE, OSFXSR, OSXMMEXCPT. */
const CR4 = 0x620n;
const CR4_OSFXSR = 0x200n;
const CR4_OSXMMEXCPT = 0x400n;
const CR0_EM = 4n;
const CR0_TS = 8n;
const HLT = 0xf4;

function createVcpu(): { vcpu: EmulatedVcpu; memory: GuestMemory } {
  const { ramAddress, codePagesAddress, pageCount } = machineMemory(1, RAM_BYTES);
  const wasmMemory = new WebAssembly.Memory({ initial: pageCount, maximum: pageCount, shared: true });
  const memory = new GuestMemory(wasmMemory, ramAddress, RAM_BYTES);
  const codePages = new CodePages(wasmMemory.buffer as ArrayBufferLike, codePagesAddress, RAM_BYTES);
  memory.onWritten((gpa, lengthBytes) => codePages.deviceWrote(gpa, lengthBytes));
  const image = buildInterpreter();
  const module = new WebAssembly.Module(image.bytes as Uint8Array<ArrayBuffer>);
  const services = {
    bus: { readPort: () => 0xff, writePort: () => {}, readMmio: () => 0xff, writeMmio: () => {} },
    interrupts: {
      highestPending: () => -1, acknowledge: () => {}, readTaskPriority: () => 0, writeTaskPriority: () => {}, collect: () => {}, takeNmi: () => false, nmiPending: false, hasRequests: false, inServiceCount: 0, servesLevel: false, endOfInterrupt: () => {},
      tick: () => {}, nextDeadlineNs: () => Number.POSITIVE_INFINITY, readMsr: () => undefined, writeMsr: () => undefined, tscChanged: () => {}, reset: () => {}, init: () => {},
    },
    posted: new PostedInterrupts(new SharedArrayBuffer(PostedInterrupts.sizeBytes)),
    exits: new ExitCounters(new SharedArrayBuffer(ExitCounters.sizeBytes)),
    model: DEFAULT_CPU_MODEL, apicId: 0, nowNs: () => 0, timeStamp: new TimeStamp(() => 0, DEFAULT_CPU_MODEL.tscHz), randomWord: () => 0n, log: () => {},
  };
  // One 2 MB page, identity-mapped.
  memory.writeU64(0x1000, 0x2003n);
  memory.writeU64(0x2000, 0x3003n);
  memory.writeU64(0x3000, 0x83n);
  return { vcpu: new EmulatedVcpu({ memory, image, module, codePages, services, interceptExceptions: true }), memory };
}

const { vcpu, memory } = createVcpu();

interface Start {
  readonly xmm1?: readonly [low: bigint, high: bigint];
  readonly xmm2?: readonly [low: bigint, high: bigint];
  readonly rdx?: bigint;
  readonly mxcsr?: number;
  readonly cr0?: bigint;
  readonly cr4?: bigint;
}

/** Runs instructions between XMM1, XMM2, MM1, RCX and RDX in 64-bit mode. */
function run(code: readonly number[], { xmm1 = [0n, 0n], xmm2 = [0n, 0n], rdx = 0n, mxcsr = 0x1f80, cr0 = CR0, cr4 = CR4 }: Start) {
  memory.write(CODE, Uint8Array.from([...code, HLT]));
  const vectors = new BigUint64Array(32);
  vectors.set([...xmm1, ...xmm2], 2);
  const flat = (access: number) => ({ selector: 8, base: 0n, limit: 0xffff_ffff, access });
  const data = flat(0xc093);
  const x87 = { registers: new Uint8Array(80), control: 0x37f, status: 0x1800, tag: 0xffff };
  vcpu.reset();
  vcpu.setState({
    gpr: Array.from({ length: 16 }, (_, index) => (index === 2 ? rdx : 0n)),
    xmm: new Uint8Array(vectors.buffer), mxcsr, x87, cr0, cr3: 0x1000n, cr4, efer: 0x500n, rip: BigInt(CODE), rflags: 2n,
    segments: [data, flat(0xa09b), data, data, data, data],
  });
  const stop = vcpu.run(100);
  const state = vcpu.getState();
  const results = new BigUint64Array(state.xmm.slice().buffer);
  return { stop, rcx: state.gpr[1]!, xmm1: [results[2]!, results[3]!], rflags: state.rflags, x87: state.x87, rip: state.rip, mxcsr: state.mxcsr };
}

const double = (value: number): bigint => {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0);
};

const QNAN_A = 0x7ff8_0000_0000_000an;
const QNAN_B = 0xfff8_0000_0000_000bn;
const SNAN = 0x7ff0_0000_0000_000cn;
const INDEFINITE = 0xfff8_0000_0000_0000n;
const INFINITY = double(Number.POSITIVE_INFINITY);

test('NaN results are those of SDM vol. 1 table 4-7, and scalar forms keep the upper half', () => {
  const upper = 0x1234n;
  const cases: readonly (readonly [a: bigint, b: bigint, result: bigint])[] = [
    [QNAN_A, QNAN_B, QNAN_A],
    [double(1), QNAN_B, QNAN_B],
    [QNAN_B, SNAN, QNAN_B],
    [SNAN, QNAN_B, SNAN | 0x8_0000_0000_0000n],
    [double(1), SNAN, SNAN | 0x8_0000_0000_0000n],
    [INFINITY, double(Number.NEGATIVE_INFINITY), INDEFINITE],
    [double(1), double(2), double(3)],
  ];
  for (const [a, b, result] of cases) {
    const addsd = run([0xf2, 0x0f, 0x58, 0xca], { xmm1: [a, upper], xmm2: [b, 7n] });
    assert.deepEqual(addsd.xmm1, [result, upper]);
    const addpd = run([0x66, 0x0f, 0x58, 0xca], { xmm1: [a, double(4)], xmm2: [b, double(5)] });
    assert.deepEqual(addpd.xmm1, [result, double(9)]);
  }
});

test('the square root of a negative number is the indefinite, of minus zero minus zero', () => {
  const { xmm1 } = run([0x66, 0x0f, 0x51, 0xca], { xmm2: [double(-4), double(-0)] });
  assert.deepEqual(xmm1, [INDEFINITE, double(-0)]);
});

test('conversions between formats keep what fits of a NaN', () => {
  assert.equal(run([0xf2, 0x0f, 0x5a, 0xca], { xmm2: [0xfff0_0000_4000_0000n, 0n] }).xmm1[0], 0xffc0_0002n);
  assert.equal(run([0xf3, 0x0f, 0x5a, 0xca], { xmm2: [0xff80_0002n, 0n] }).xmm1[0], 0xfff8_0000_4000_0000n);
});

test('MINSD and MAXSD give the second operand for NaNs and for zeros of either sign', () => {
  for (const opcode of [0x5d, 0x5f]) {
    assert.equal(run([0xf2, 0x0f, opcode, 0xca], { xmm1: [double(1), 0n], xmm2: [SNAN, 0n] }).xmm1[0], SNAN);
    assert.equal(run([0xf2, 0x0f, opcode, 0xca], { xmm1: [QNAN_A, 0n], xmm2: [double(2), 0n] }).xmm1[0], double(2));
    assert.equal(run([0xf2, 0x0f, opcode, 0xca], { xmm1: [double(0), 0n], xmm2: [double(-0), 0n] }).xmm1[0], double(-0));
    assert.equal(run([0xf2, 0x0f, opcode, 0xca], { xmm1: [double(-0), 0n], xmm2: [double(0), 0n] }).xmm1[0], double(0));
  }
});

test('conversions to integers round as MXCSR says and truncate when told to', () => {
  const convert = (opcode: number, value: number, mxcsr: number) =>
    BigInt.asIntN(32, run([0xf2, 0x0f, opcode, 0xca], { xmm2: [double(value), 0n], mxcsr }).rcx);
  const modes = [0x1f80, 0x3f80, 0x5f80, 0x7f80];
  assert.deepEqual(modes.map((mode) => convert(0x2d, 2.5, mode)), [2n, 2n, 3n, 2n]);
  assert.deepEqual(modes.map((mode) => convert(0x2d, -2.5, mode)), [-2n, -3n, -2n, -2n]);
  assert.deepEqual(modes.map((mode) => convert(0x2d, 3.5, mode)), [4n, 3n, 4n, 3n]);
  assert.deepEqual(modes.map((mode) => convert(0x2c, -2.9, mode)), [-2n, -2n, -2n, -2n]);
});

test('what no integer can hold is the integer indefinite', () => {
  for (const value of [double(2 ** 31), double(-(2 ** 31) - 1), QNAN_A, INFINITY]) {
    assert.equal(run([0xf2, 0x0f, 0x2c, 0xca], { xmm2: [value, 0n] }).rcx, 0x8000_0000n);
    assert.equal(run([0x66, 0x0f, 0xe6, 0xca], { xmm2: [value, double(1)] }).xmm1[0], 0x1_8000_0000n);
  }
  assert.equal(run([0xf2, 0x48, 0x0f, 0x2c, 0xca], { xmm2: [double(2 ** 63), 0n] }).rcx, 0x8000_0000_0000_0000n);
  assert.equal(run([0xf2, 0x0f, 0x2c, 0xca], { xmm2: [double(-(2 ** 31) - 0.5), 0n] }).rcx, 0x8000_0000n);
  assert.equal(run([0xf2, 0x0f, 0x2c, 0xca], { xmm2: [double(2 ** 31 - 0.5), 0n] }).rcx, 0x7fff_ffffn);
});

test('COMISD tells less, equal, greater and unordered apart', () => {
  const flags = (a: number, b: number) => run([0x66, 0x0f, 0x2f, 0xca], { xmm1: [double(a), 0n], xmm2: [double(b), 0n] }).rflags & 0x8d5n;
  assert.deepEqual([flags(1, 2), flags(2, 2), flags(2, 1), flags(Number.NaN, 1)], [0x01n, 0x40n, 0n, 0x45n]);
});

test('an MMX write turns the x87 registers into MMX registers, and EMMS empties them', () => {
  const moved = run([0x48, 0x0f, 0x6e, 0xca], { rdx: 0x1122_3344_5566_7788n });
  assert.equal((moved.x87.status >> 11) & 7, 0);
  assert.deepEqual([...moved.x87.registers.subarray(10, 20)], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xff, 0xff]);
  assert.notEqual((moved.x87.tag >> 2) & 3, 3);
  const emptied = run([0x48, 0x0f, 0x6e, 0xca, 0x0f, 0x77], { rdx: 1n });
  assert.equal(emptied.x87.tag, 0xffff);
});

test('an MMX load that faults leaves the x87 state alone', () => {
  const { stop, x87 } = run([0x0f, 0x6f, 0x0a], { rdx: 0x4000_0000n });
  assert.equal(stop.reason === 'exception' && stop.vector, 14);
  assert.deepEqual([x87.status, x87.tag], [0x1800, 0xffff]);
});

test('CR0.EM makes MMX instructions undefined, CR0.TS asks for the x87 state first', () => {
  const vectorUnder = (bits: bigint) => {
    const { stop } = run([0x0f, 0x6f, 0x0a], { rdx: 0x4000_0000n, cr0: CR0 | bits });
    return stop.reason === 'exception' ? stop.vector : undefined;
  };
  assert.equal(vectorUnder(CR0_EM), 6);
  assert.equal(vectorUnder(CR0_TS), 7);
});

test('SSE instructions want CR0.EM clear, CR4.OSFXSR set and CR0.TS clear, before they look at memory', () => {
  const vectorOf = (code: readonly number[], cr0: bigint, cr4: bigint) => {
    const { stop } = run(code, { rdx: 0x4000_0000n, cr0, cr4 });
    return stop.reason === 'exception' ? stop.vector : undefined;
  };
  const movaps = [0x0f, 0x28, 0x0a];
  const ldmxcsr = [0x0f, 0xae, 0x12];
  for (const code of [movaps, ldmxcsr]) {
    assert.equal(vectorOf(code, CR0, CR4), 14);
    assert.equal(vectorOf(code, CR0 | CR0_EM, CR4), 6);
    assert.equal(vectorOf(code, CR0, CR4 & ~CR4_OSFXSR), 6);
    assert.equal(vectorOf(code, CR0 | CR0_TS, CR4), 7);
  }
});

test('the same code works again after CLTS and faults again after TS is set', () => {
  // clts; movaps xmm1, xmm2; mov rcx, cr0; or ecx, 8; mov cr0, rcx; movaps xmm1, xmm2
  const { stop, xmm1, rip } = run(
    [0x0f, 0x06, 0x0f, 0x28, 0xca, 0x0f, 0x20, 0xc1, 0x83, 0xc9, 0x08, 0x0f, 0x22, 0xc1, 0x0f, 0x28, 0xca],
    { cr0: CR0 | CR0_TS, xmm2: [5n, 6n] },
  );
  assert.equal(stop.reason === 'exception' && stop.vector, 7);
  assert.deepEqual(xmm1, [5n, 6n]);
  assert.equal(rip, BigInt(CODE + 14));
});

test('an unmasked exception is #XM, or #UD where CR4.OSXMMEXCPT is clear', () => {
  const divide = (cr4: bigint) => {
    const { stop, mxcsr } = run([0xf2, 0x0f, 0x5e, 0xca], { xmm1: [double(1), 0n], mxcsr: 0x1d80, cr4 });
    return [stop.reason === 'exception' && stop.vector, mxcsr];
  };
  assert.deepEqual(divide(CR4), [19, 0x1d84]);
  assert.deepEqual(divide(CR4 & ~CR4_OSXMMEXCPT), [6, 0x1d84]);
});

test('LDMXCSR refuses reserved bits and keeps the register', () => {
  memory.writeU64(0x8000, 0x1_0000n);
  const { stop } = run([0x0f, 0xae, 0x12], { rdx: 0x8000n });
  assert.equal(stop.reason === 'exception' && stop.vector, 13);
});

test('FXSAVE and FXRSTOR work over the end of a page', () => {
  const [crossing, inside] = [0x1_5f00, 0x1_8000];
  const save = [0x0f, 0xae, 0x02]; // fxsave [rdx]
  const saveInside = [0x0f, 0xae, 0x82, 0x00, 0x21, 0, 0]; // fxsave [rdx + inside - crossing]
  const clear = [0x0f, 0x57, 0xc9]; // xorps xmm1, xmm1
  const restore = [0x0f, 0xae, 0x0a]; // fxrstor [rdx]
  const xmm1 = [0x1122_3344_5566_7788n, 0x99aa_bbcc_ddee_ff00n] as const;
  // The first one finds no TLB entries, the second one those of both pages.
  for (const code of [[...save, ...clear, ...restore, ...saveInside], [...save, ...save, ...clear, ...restore, ...saveInside, ...saveInside]]) {
    memory.write(crossing, new Uint8Array(512));
    const end = run(code, { xmm1, xmm2: [5n, 6n], rdx: BigInt(crossing) });
    assert.deepEqual([end.stop.reason, end.xmm1], ['halt', xmm1]);
    assert.deepEqual(memory.slice(crossing, 512), memory.slice(inside, 512));
  }
});
