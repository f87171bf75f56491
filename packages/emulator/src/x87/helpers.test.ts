import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { GuestFault, type HelperContext } from '../helper.ts';
import { CPU } from '../layout.ts';
import { X87_HELPERS } from './helpers.ts';
import { fullTagWord, topOf } from './registers.ts';

const NM = 7;
const GP = 13;
const PF = 14;
const MF = 16;
const CR0_PE = 1n;
const CR0_MP = 2n;
const CR0_EM = 4n;
const CR0_TS = 8n;
const CR0_NE = 0x20n;
const MEMORY_BYTES = 0x1000;

const view = new DataView(new ArrayBuffer(0x1000));
const memory = new DataView(new ArrayBuffer(MEMORY_BYTES));

function locate(linear: bigint, lengthBytes: number): number {
  const at = Number(linear);
  if (at + lengthBytes > MEMORY_BYTES) throw new GuestFault(PF, 6);
  return at;
}

/** Flat memory from 0 that ends at MEMORY_BYTES. */
const context: HelperContext = {
  view,
  raise: (vector, errorCode) => {
    throw new GuestFault(vector, errorCode);
  },
  readMemory(linear, bits) {
    const at = locate(linear, bits / 8);
    return bits === 64 ? memory.getBigUint64(at, true) : BigInt(bits === 32 ? memory.getUint32(at, true) : memory.getUint16(at, true));
  },
  writeMemory(linear, value, bits) {
    const at = locate(linear, bits / 8);
    if (bits === 64) memory.setBigUint64(at, value, true);
    else if (bits === 32) memory.setUint32(at, Number(value), true);
    else memory.setUint16(at, Number(value), true);
  },
  wasmMemory: memory,
  plainAddress: () => 0,
  probeWrite: (linear, lengthBytes) => void locate(linear, lengthBytes),
};

function call(name: string, ...args: (bigint | number)[]): bigint {
  return X87_HELPERS[name]!(context, ...args.map(BigInt)) ?? 0n;
}

function faults(vector: number, name: string, ...args: (bigint | number)[]): void {
  assert.throws(() => call(name, ...args), (error) => error instanceof GuestFault && error.vector === vector);
}

const status = () => view.getUint16(CPU.x87Status, true);
const setCr0 = (value: bigint) => view.setBigUint64(CPU.cr0, value, true);

function top(): number {
  call('x87-store-float', 0x100, 64, 0, 0);
  return memory.getFloat64(0x100, true);
}

function load(value: number): void {
  memory.setFloat64(0, value, true);
  call('x87-load-float', memory.getBigUint64(0, true), 64, 0);
}

/** Everything of the x87 state, for "nothing changed". */
const snapshot = () => Buffer.from(new Uint8Array(view.buffer, CPU.x87Registers, CPU.x87DataPointer + 8 - CPU.x87Registers)).toString('hex');

beforeEach(() => {
  new Uint8Array(view.buffer).fill(0);
  new Uint8Array(memory.buffer).fill(0);
  setCr0(CR0_PE | CR0_MP | CR0_NE);
  view.setUint32(CPU.mxcsr, 0x1f80, true);
  call('x87-initialize');
});

test('the device is absent while CR0.EM or CR0.TS is set', () => {
  for (const bit of [CR0_EM, CR0_TS]) {
    setCr0(CR0_PE | CR0_NE | bit);
    for (const name of ['x87-begin', 'x87-begin-control', 'x87-begin-no-wait']) faults(NM, name);
  }
  setCr0(CR0_PE | CR0_TS);
  call('x87-wait');
  setCr0(CR0_PE | CR0_EM | CR0_MP);
  call('x87-wait');
  setCr0(CR0_PE | CR0_TS | CR0_MP);
  faults(NM, 'x87-wait');
});

test('an unmasked exception waits for the next instruction that looks', () => {
  call('x87-set-control', 0x37e);
  call('x87-test');
  assert.equal(status() & 0x80c1, 0x80c1, 'IE, SF, ES and B');
  for (const name of ['x87-begin', 'x87-begin-control', 'x87-wait']) faults(MF, name);
  call('x87-begin-no-wait');
  setCr0(CR0_PE);
  call('x87-begin');
  call('x87-clear-exceptions');
  assert.equal(status() & 0x80ff, 0);
});

test('unmasking a flag that is set makes it pending, masking it again does not', () => {
  load(1);
  load(0);
  call('x87-arithmetic', 6, 1, 0, 1);
  assert.equal(status() & 0x84, 4);
  call('x87-set-control', 0x37b);
  assert.equal(status() & 0x84, 0x84);
  call('x87-set-control', 0x37f);
  assert.equal(status() & 0x84, 4);
});

test('the stack overflows, underflows, and answers with the indefinite', () => {
  for (let count = 0; count < 8; count++) load(count);
  assert.equal(topOf(view), 0);
  assert.equal(fullTagWord(view), 0x4000, 'seven valid, and R7 holds zero');
  load(9);
  assert.equal(status() & 0x241, 0x241, 'IE, SF, and C1 for overflow');
  assert.ok(Number.isNaN(top()));
  call('x87-initialize');
  call('x87-arithmetic', 0, 0, 1, 0);
  assert.equal(status() & 0x241, 0x41);
  assert.ok(Number.isNaN(top()));
});

test('a store that faults changes nothing', () => {
  load(1.5);
  const before = snapshot();
  for (const [name, ...args] of [
    ['x87-store-float', MEMORY_BYTES - 2, 32, 1, 0], ['x87-store-float', MEMORY_BYTES - 4, 64, 1, 0],
    ['x87-store-integer', MEMORY_BYTES - 1, 16, 1, 0, 0],
    ['x87-store-extended', MEMORY_BYTES - 9, 0], ['x87-store-bcd', MEMORY_BYTES - 9, 0], ['x87-save', MEMORY_BYTES - 100, 32],
    ['x87-store-environment', MEMORY_BYTES - 27, 32], ['x87-restore', MEMORY_BYTES - 100, 32], ['x87-load-environment', MEMORY_BYTES - 20, 32],
    ['x87-fxsave', MEMORY_BYTES - 128, 0], ['x87-fxrstor', MEMORY_BYTES - 128, 0],
  ] as [string, ...number[]][]) {
    faults(PF, name, ...args);
    assert.equal(snapshot(), before, name);
  }
  assert.equal(memory.getUint16(MEMORY_BYTES - 9, true), 0, 'no byte of a store that crosses into the missing page');
});

test('a store faults before its unmasked exception counts', () => {
  call('x87-set-control', 0x37e);
  load(1e300);
  const before = snapshot();
  faults(PF, 'x87-store-integer', MEMORY_BYTES, 32, 1, 0, 0);
  assert.equal(snapshot(), before);
  call('x87-store-integer', 0x40, 32, 1, 0, 0);
  assert.equal(memory.getUint32(0x40, true), 0, 'an unmasked invalid operation stores nothing');
  assert.equal(topOf(view), 7, 'and pops nothing');
});

test('the four environment formats keep what they hold', () => {
  load(2.5);
  load(-3);
  for (const [operandBits, protectedMode] of [[16, true], [32, true], [16, false], [32, false]] as const) {
    setCr0(protectedMode ? CR0_PE | CR0_NE : CR0_NE);
    view.setUint16(CPU.x87Opcode, 0x5d5, true);
    view.setBigUint64(CPU.x87InstructionPointer, 0xfedcn, true);
    view.setBigUint64(CPU.x87DataPointer, 0x1_2345n, true);
    const before = snapshot();
    call('x87-save', 0x200, operandBits);
    assert.equal(view.getUint16(CPU.x87Tag, true), 0xffff);
    call('x87-restore', 0x200, operandBits);
    if (operandBits === 32 || !protectedMode) assert.equal(view.getBigUint64(CPU.x87DataPointer, true), 0x1_2345n);
    view.setBigUint64(CPU.x87DataPointer, 0x1_2345n, true);
    assert.equal(call('x87-control'), 0x37fn);
    assert.equal(top(), -3);
    assert.equal(before.slice(0, 256), snapshot().slice(0, 256), 'registers');
  }
});

test('storing the environment masks all exceptions', () => {
  call('x87-set-control', 0x340);
  call('x87-store-environment', 0x200, 32);
  assert.equal(memory.getUint32(0x200, true), 0xffff_0340);
  assert.equal(call('x87-control'), 0x37fn);
});

test('FXSAVE wants 16-byte alignment and FXRSTOR a legal MXCSR', () => {
  faults(GP, 'x87-fxsave', 0x208, 0);
  call('x87-fxsave', 0x200, 0);
  memory.setUint32(0x200 + 24, 0x1_0000, true);
  load(1);
  const before = snapshot();
  faults(GP, 'x87-fxrstor', 0x200, 0);
  assert.equal(snapshot(), before);
});

test('FXSAVE holds eight vector registers outside 64-bit mode', () => {
  view.setBigUint64(CPU.xmm + 7 * 16, 0x77n, true);
  view.setBigUint64(CPU.xmm + 8 * 16, 0x88n, true);
  call('x87-fxsave', 0x200, 0);
  assert.equal(memory.getBigUint64(0x200 + 160 + 7 * 16, true), 0x77n);
  assert.equal(memory.getBigUint64(0x200 + 160 + 8 * 16, true), 0n);
});

test('trigonometric operands beyond 2^63 set C2 and stay', () => {
  load(2 ** 70);
  for (const name of ['x87-fsin', 'x87-fcos', 'x87-fsincos', 'x87-fptan']) {
    call(name);
    assert.equal(status() & 0x400, 0x400);
    assert.equal(top(), 2 ** 70);
  }
  load(0);
  call('x87-fptan');
  assert.equal(status() & 0x400, 0);
  assert.equal(top(), 1);
});

test('the examine instruction tells empty registers apart', () => {
  call('x87-examine');
  assert.equal(status() & 0x4700, 0x4100);
  load(-1);
  call('x87-examine');
  assert.equal(status() & 0x4700, 0x0600);
});
