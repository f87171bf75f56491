import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestResult } from './driver.ts';
import { FLAG, FX, GS_BASE, LAYOUT } from './layout.ts';
import { NativeDriver, nativeOracleUnavailable } from './native.ts';

// Machine code and results worked out by hand: what the oracle says of itself.

const unavailable = nativeOracleUnavailable();
const native = unavailable ? undefined : new NativeDriver();

interface Inputs {
  readonly gpr?: Readonly<Record<number, bigint>>;
  readonly rflags?: number;
  readonly memory?: Readonly<Record<number, number>>;
  readonly xmm?: Readonly<Record<number, readonly number[]>>;
  readonly mxcsr?: number;
  readonly control?: number;
}

const RCX = 1;
const RSP = 4;
const RSI = 6;
const RDI = 7;
const WINDOW = BigInt(LAYOUT.windowBase);
const CODE = LAYOUT.codeBase + 0x800;
const TAKEN = CODE + 0x40;

function run(code: readonly number[], inputs: Inputs = {}): TestResult {
  const gpr = new BigUint64Array(16);
  for (const [index, value] of Object.entries(inputs.gpr ?? {})) gpr[Number(index)] = value;
  const fx = new Uint8Array(FX.sizeBytes);
  const view = new DataView(fx.buffer);
  view.setUint16(FX.control, inputs.control ?? 0x37f, true);
  view.setUint32(FX.mxcsr, inputs.mxcsr ?? 0x1f80, true);
  for (const [index, lanes] of Object.entries(inputs.xmm ?? {})) lanes.forEach((lane, at) => view.setFloat32(FX.xmm + 16 * Number(index) + 4 * at, lane, true));
  const memory = new Uint8Array(LAYOUT.windowBytes);
  for (const [offset, value] of Object.entries(inputs.memory ?? {})) memory[Number(offset)] = value;
  return native!.run({ mode: 64, code: Uint8Array.from(code), codeAddress: CODE, exits: [CODE + code.length, TAKEN], gpr, rflags: inputs.rflags ?? 0, fx, memory });
}

const { CF, PF, AF, ZF, OF, SF, DF } = FLAG;

test('native oracle: this host', (t) => {
  t.diagnostic(unavailable ?? 'the native oracle runs on this host');
});

if (native) {
  test('integer arithmetic and flags', () => {
    const add = run([0x48, 0x01, 0xd8], { gpr: { 0: 5n, 3: 0xffff_ffff_ffff_fffbn } }); // add rax, rbx
    assert.equal(add.gpr[0], 0n);
    assert.equal(add.rflags, CF | PF | AF | ZF);
    assert.equal(add.rip, CODE + 3);
    const shl = run([0xd1, 0xe0], { gpr: { 0: 0xaaaa_aaaa_4000_0000n } }); // shl eax, 1
    assert.equal(shl.gpr[0], 0x8000_0000n);
    assert.equal(shl.rflags & (CF | OF | SF | ZF | PF), OF | SF | PF);
    const mul = run([0x48, 0xf7, 0xe3], { gpr: { 0: 1n << 63n, 3: 6n } }); // mul rbx
    assert.deepEqual([mul.gpr[0], mul.gpr[2]], [0n, 3n]);
    assert.equal(mul.rflags & (CF | OF), CF | OF);
  });

  test('memory, stack and every register survive', () => {
    const push = run([0x41, 0x57], { gpr: { 15: 0x1122_3344_5566_7788n, [RSP]: WINDOW + 0x100n } }); // push r15
    assert.equal(push.gpr[RSP], WINDOW + 0xf8n);
    assert.deepEqual([...push.memory.subarray(0xf8, 0x100)], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
    const gpr = Object.fromEntries(Array.from({ length: 16 }, (_, index) => [index, BigInt(index + 1) * 0x0101_0101_0101_0101n]));
    assert.deepEqual([...run([0x90], { gpr, rflags: DF | CF | OF }).gpr], Object.values(gpr));
    const load = run([0x65, 0x8b, 0x00], { gpr: { 0: WINDOW - GS_BASE }, memory: { 0: 0x2a } }); // mov eax, gs:[rax]
    assert.equal(load.gpr[0], 0x2an);
  });

  test('branches report where they went', () => {
    assert.equal(run([0x75, 0x3e]).rip, TAKEN); // jne
    assert.equal(run([0x75, 0x3e], { rflags: ZF }).rip, CODE + 2);
    assert.equal(run([0xff, 0xe0], { gpr: { 0: BigInt(TAKEN) } }).rip, TAKEN); // jmp rax
  });

  test('strings, both directions', () => {
    const gpr = { [RCX]: 3n, [RSI]: WINDOW + 2n, [RDI]: WINDOW + 12n };
    const movs = run([0xf3, 0xa4], { gpr, rflags: DF, memory: { 0: 1, 1: 2, 2: 3 } }); // std; rep movsb
    assert.deepEqual([...movs.memory.subarray(10, 13)], [1, 2, 3]);
    assert.deepEqual([movs.gpr[RCX], movs.gpr[RSI], movs.gpr[RDI]], [0n, WINDOW - 1n, WINDOW + 9n]);
  });

  test('SSE with MXCSR', () => {
    const add = run([0x0f, 0x58, 0xc1], { xmm: { 0: [1, 2, 3, 4], 1: [0.5, -2, 2 ** 30, 2 ** -40] } }); // addps xmm0, xmm1
    const lanes = new Float32Array(add.fx.slice(FX.xmm, FX.xmm + 16).buffer);
    assert.deepEqual([...lanes], [1.5, 0, 2 ** 30, 4]);
    assert.equal(new DataView(add.fx.buffer).getUint32(FX.mxcsr, true), 0x1fa0);
  });

  test('x87', () => {
    const one = run([0xd9, 0xe8]); // fld1
    const view = new DataView(one.fx.buffer);
    assert.equal(view.getUint16(FX.status, true) & 0x3800, 7 << 11);
    assert.equal(view.getUint8(FX.tag), 0x80);
    assert.equal(view.getBigUint64(FX.registers, true), 1n << 63n);
    assert.equal(view.getUint16(FX.registers + 8, true), 0x3fff);
  });

  test('exceptions come back as vector, error code and CR2', () => {
    assert.deepEqual(run([0xf7, 0xf1], { gpr: { 0: 7n } }).exception, { vector: 0, errorCode: 0, cr2: 0n }); // div ecx
    const end = WINDOW + BigInt(LAYOUT.windowBytes);
    const straddling = run([0x89, 0x03], { gpr: { 3: end - 2n, 0: 0xffff_ffffn } }); // mov [rbx], eax
    assert.deepEqual(straddling.exception, { vector: 14, errorCode: 6, cr2: end });
    assert.equal(straddling.memory[LAYOUT.windowBytes - 1], 0);
    assert.equal(straddling.rip, CODE);
    assert.deepEqual(run([0x8b, 0x03], { gpr: { 3: 1n << 63n } }).exception, { vector: 13, errorCode: 0, cr2: 0n });
    assert.deepEqual(run([0x58], { gpr: { [RSP]: 1n << 63n } }).exception, { vector: 12, errorCode: 0, cr2: 0n }); // pop rax
    assert.equal(run([0x0f, 0x0b]).exception?.vector, 6);
    assert.equal(run([0x0f, 0x28, 0x00], { gpr: { 0: WINDOW + 4n } }).exception?.vector, 13); // movaps xmm0, [rax]
    assert.equal(run([0x0f, 0x5e, 0xc1], { xmm: { 0: [1], 1: [0] }, mxcsr: 0 }).exception?.vector, 19); // divps, unmasked
    assert.equal(run([0x90]).exception, undefined);
  });
}
