import type { TestResult } from './driver.ts';
import type { CaseMode } from './forms.ts';
import type { GeneratedCase } from './generate.ts';
import { FX, LAYOUT, TESTED_FLAGS } from './layout.ts';
import { type Unspecified, unspecifiedOf } from './undefined-flags.ts';

/** Which part of the state disagrees; reports count by it. */
export type Aspect = 'exception' | 'rip' | 'gpr' | 'flags' | 'xmm' | 'mxcsr' | 'x87' | 'memory';

export interface Difference {
  readonly aspect: Aspect;
  readonly what: string;
  readonly expected: string;
  readonly actual: string;
}

const REGISTER_NAMES = ['RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI', 'R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15'];

const hex = (value: number | bigint, digits = 0) => `0x${value.toString(16).padStart(digits, '0')}`;
const hexBytes = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).reverse().join('');

function describeException(result: TestResult, open: Unspecified): string {
  const { exception } = result;
  if (!exception) return 'none';
  const cr2 = open.faultPageOnly ? exception.cr2 & ~0xfffn : exception.cr2;
  return `vector ${exception.vector} error ${hex(exception.errorCode)}${exception.vector === 14 ? ` CR2 ${hex(cr2)}` : ''}`;
}

function compareControl(out: Difference[], expected: TestResult, actual: TestResult, open: Unspecified): void {
  const [a, b] = [describeException(expected, open), describeException(actual, open)];
  if (a !== b) out.push({ aspect: 'exception', what: 'exception', expected: a, actual: b });
  else if (expected.rip !== actual.rip) {
    out.push({ aspect: 'rip', what: 'RIP', expected: hex(expected.rip), actual: hex(actual.rip) });
  }
}

/** After 32-bit code the upper halves of registers, and R8 to R15, are undefined (SDM vol. 1 §3.4.1.1). */
function compareIntegers(out: Difference[], expected: TestResult, actual: TestResult, open: Unspecified, mode: CaseMode): void {
  const [count, mask] = mode === 32 ? [8, 0xffff_ffffn] : [16, 0xffff_ffff_ffff_ffffn];
  for (let index = 0; index < count; index++) {
    const [a, b] = [expected.gpr[index]! & mask, actual.gpr[index]! & mask];
    if (a !== b && ((a ^ b) & ~(open.registers.get(index) ?? 0n)) !== 0n) {
      out.push({ aspect: 'gpr', what: REGISTER_NAMES[index]!, expected: hex(a, 16), actual: hex(b, 16) });
    }
  }
  const flags = TESTED_FLAGS & ~open.flags;
  if (((expected.rflags ^ actual.rflags) & flags) !== 0) {
    out.push({ aspect: 'flags', what: 'RFLAGS', expected: describeFlags(expected.rflags & flags), actual: describeFlags(actual.rflags & flags) });
  }
}

/** The set flags by name. */
export function describeFlags(flags: number): string {
  const names = [['CF', 1], ['PF', 4], ['AF', 0x10], ['ZF', 0x40], ['SF', 0x80], ['DF', 0x400], ['OF', 0x800]] as const;
  return names.filter(([, bit]) => flags & bit).map(([name]) => name).join('+') || '-';
}

function lanesClose(a: Uint8Array, b: Uint8Array, relativeError: number): boolean {
  const [x, y] = [new DataView(a.slice().buffer), new DataView(b.slice().buffer)];
  for (let at = 0; at < 16; at += 4) {
    if (x.getUint32(at, true) === y.getUint32(at, true)) continue;
    const [p, q] = [x.getFloat32(at, true), y.getFloat32(at, true)];
    if (!(Number.isFinite(p) && Number.isFinite(q) && Math.abs(p - q) <= relativeError * Math.abs(p))) return false;
  }
  return true;
}

function sameButForNans(a: Uint8Array, b: Uint8Array, laneBytes: 0 | 4 | 8): boolean {
  if (laneBytes === 0) return false;
  const isNan = (lane: Uint8Array) => Number.isNaN(laneBytes === 4 ? new DataView(lane.slice().buffer).getFloat32(0, true) : new DataView(lane.slice().buffer).getFloat64(0, true));
  for (let at = 0; at < 16; at += laneBytes) {
    const [x, y] = [a.subarray(at, at + laneBytes), b.subarray(at, at + laneBytes)];
    if (!equalBytes(x, y) && !(isNan(x) && isNan(y))) return false;
  }
  return true;
}

/** Distance of two 80-bit numbers of one sign in units of the last place. */
function extendedDistance(a: Uint8Array, b: Uint8Array): bigint {
  const [x, y] = [new DataView(a.slice().buffer), new DataView(b.slice().buffer)];
  if (((x.getUint16(8, true) ^ y.getUint16(8, true)) & 0x8000) !== 0) return 1n << 80n;
  const position = (view: DataView) => (BigInt(view.getUint16(8, true) & 0x7fff) << 63n) + (view.getBigUint64(0, true) & ~(1n << 63n));
  const distance = position(x) - position(y);
  return distance < 0n ? -distance : distance;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function compareVectors(out: Difference[], expected: TestResult, actual: TestResult, open: Unspecified): void {
  if (equalBytes(expected.fx.subarray(FX.xmm, FX.end), actual.fx.subarray(FX.xmm, FX.end))) return;
  for (let index = 0; index < 16; index++) {
    const at = FX.xmm + 16 * index;
    const [a, b] = [expected.fx.subarray(at, at + 16), actual.fx.subarray(at, at + 16)];
    if (equalBytes(a, b) || sameButForNans(a, b, open.nanLaneBytes) || (open.relativeError > 0 && lanesClose(a, b, open.relativeError))) continue;
    out.push({ aspect: 'xmm', what: `XMM${index}`, expected: hexBytes(a), actual: hexBytes(b) });
  }
}

const TOP = 0x3800;

function compareFloats(out: Difference[], expected: TestResult, actual: TestResult, open: Unspecified): void {
  const [x, y] = [new DataView(expected.fx.buffer, expected.fx.byteOffset), new DataView(actual.fx.buffer, actual.fx.byteOffset)];
  const word = (aspect: Aspect, what: string, offset: number, open: number, bytes: 1 | 2 | 4) => {
    const read = (view: DataView) => (bytes === 4 ? view.getUint32(offset, true) : bytes === 2 ? view.getUint16(offset, true) : view.getUint8(offset)) & ~open;
    if (read(x) !== read(y)) out.push({ aspect, what, expected: hex(read(x)), actual: hex(read(y)) });
  };
  word('mxcsr', 'MXCSR', FX.mxcsr, 0, 4);
  word('x87', 'control word', FX.control, 0, 2);
  word('x87', 'status word', FX.status, open.status, 2);
  word('x87', 'abridged tag word', FX.tag, open.status & TOP ? 0xff : 0, 1);
  // An image has ST(0) first; where the tops may differ, the registers themselves are compared.
  const registerAt = (view: DataView, index: number) => FX.registers + 16 * (open.status & TOP ? (index - (view.getUint16(FX.status, true) >> 11)) & 7 : index);
  for (let index = 0; index < 8; index++) {
    const [from, to] = [registerAt(x, index), registerAt(y, index)];
    const [a, b] = [expected.fx.subarray(from, from + 10), actual.fx.subarray(to, to + 10)];
    if (equalBytes(a, b) || (open.unitsInLastPlace > 0n && extendedDistance(a, b) <= open.unitsInLastPlace)) continue;
    out.push({ aspect: 'x87', what: `ST(${index})`, expected: hexBytes(a), actual: hexBytes(b) });
  }
}

function compareMemory(out: Difference[], generated: GeneratedCase, expected: TestResult, actual: TestResult, open: Unspecified): void {
  if (equalBytes(expected.memory, actual.memory)) return;
  const operandAt = (generated.operandAddress ?? 0) - LAYOUT.windowBase;
  const ignored = (at: number) => open.memory.some((range) => at >= operandAt + range.from && at < operandAt + range.to);
  for (let at = 0; at < expected.memory.length; at++) {
    if (expected.memory[at] === actual.memory[at] || ignored(at)) continue;
    const end = Math.min(at + 16, expected.memory.length);
    const what = `16 bytes from ${hex(LAYOUT.windowBase + at)}`;
    out.push({ aspect: 'memory', what, expected: hexBytes(expected.memory.subarray(at, end)), actual: hexBytes(actual.memory.subarray(at, end)) });
    return;
  }
}

/** Where `actual` departs from `expected` in anything the manual defines; empty when they agree. */
export function compareResults(generated: GeneratedCase, expected: TestResult, actual: TestResult): Difference[] {
  const open = unspecifiedOf(generated, expected);
  if (open.exceptionOrder) return [];
  const out: Difference[] = [];
  compareControl(out, expected, actual, open);
  compareIntegers(out, expected, actual, open, generated.form.mode);
  compareVectors(out, expected, actual, open);
  compareFloats(out, expected, actual, open);
  compareMemory(out, generated, expected, actual, open);
  return out;
}
