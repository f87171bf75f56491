import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { GuestMemory } from '@hanok/machine';
import { buffer, device, eisaId, integer, name, pack, resources, scope, string } from './aml.ts';
import { buildAcpiTables } from './build.ts';
import { pciInterruptGsi } from './dsdt.ts';
import { PARAVIRT_BOARD } from './board.ts';

interface Table {
  readonly signature: string;
  readonly address: number;
  readonly bytes: Uint8Array;
}

function build(vcpuCount: number): { memory: GuestMemory; rsdp: number; tables: Map<string, Table> } {
  const pages = 0x200000 / 65536;
  const memory = new GuestMemory(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }), 0, 0x200000);
  const { rsdp } = buildAcpiTables({ memory, vcpuCount });
  const tables = new Map<string, Table>();
  const add = (address: number): void => {
    const signature = String.fromCharCode(...memory.slice(address, 4)!);
    tables.set(signature, { signature, address, bytes: Uint8Array.from(memory.slice(address, memory.readU32(address + 4)!)!) });
  };
  const xsdt = Number(memory.readU64(rsdp + 24));
  add(xsdt);
  for (let at = xsdt + 36; at < xsdt + memory.readU32(xsdt + 4)!; at += 8) add(Number(memory.readU64(at)));
  const fadt = tables.get('FACP')!.address;
  add(memory.readU32(fadt + 40)!);
  add(memory.readU32(fadt + 36)!);
  return { memory, rsdp, tables };
}

const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => total + byte, 0) & 0xff;
const viewOf = (table: Table): DataView => new DataView(table.bytes.buffer);

test('root pointer, checksums, lengths and places', () => {
  for (const vcpuCount of [1, 255]) {
    const { memory, rsdp, tables } = build(vcpuCount);
    assert.equal(rsdp, 0xe0000);
    const pointer = Uint8Array.from(memory.slice(rsdp, 36)!);
    assert.equal(String.fromCharCode(...pointer.subarray(0, 8)), 'RSD PTR ');
    assert.equal(sum(pointer.subarray(0, 20)), 0);
    assert.equal(sum(pointer), 0);
    assert.deepEqual([...tables.keys()].sort(), ['APIC', 'DSDT', 'FACP', 'FACS', 'MCFG', 'XSDT']);
    const ranges = [...tables.values()].sort((a, b) => a.address - b.address);
    for (const [index, table] of ranges.entries()) {
      if (table.signature !== 'FACS') assert.equal(sum(table.bytes), 0, table.signature);
      assert.ok(table.address >= 0xe0024 && table.address + table.bytes.length <= 0x100000);
      if (index > 0) assert.ok(table.address >= ranges[index - 1]!.address + ranges[index - 1]!.bytes.length);
    }
    assert.equal(tables.get('FACS')!.address % 64, 0);
    assert.equal(tables.get('FACP')!.bytes.length, 276);
  }
  assert.throws(() => build(256), /256 vCPUs cannot be described; use 1 to 255/);
  assert.throws(() => build(0), /0 vCPUs/);
});

test('FADT: the ports and interrupt of the power block, and the reset register', () => {
  const data = viewOf(build(1).tables.get('FACP')!);
  assert.equal(data.getUint16(46, true), 9);
  assert.equal(data.getUint32(48, true), 0, 'no SMI command port');
  assert.deepEqual(
    [56, 64, 76].map((at) => data.getUint32(at, true)),
    [0x600, 0x604, 0x608],
  );
  assert.deepEqual(
    [88, 89, 91].map((at) => data.getUint8(at)),
    [4, 2, 4],
  );
  assert.deepEqual(
    [116, 117, 119].map((at) => data.getUint8(at)),
    [1, 8, 1],
  );
  assert.equal(data.getBigUint64(120, true), 0xcf9n);
  assert.equal(data.getUint8(128), 6);
  assert.equal(data.getUint32(112, true) & 0x100000, 0, 'not hardware-reduced');
  assert.equal(data.getUint32(40, true), Number(data.getBigUint64(140, true)));
});

test('MADT: its entries tile the table', () => {
  const table = build(3).tables.get('APIC')!;
  const entries: number[][] = [];
  for (let at = 44; at < table.bytes.length; at += table.bytes[at + 1]!)
    entries.push([...table.bytes.subarray(at, at + table.bytes[at + 1]!)]);
  assert.deepEqual(entries, [
    [0, 8, 0, 0, 1, 0, 0, 0],
    [0, 8, 1, 1, 1, 0, 0, 0],
    [0, 8, 2, 2, 1, 0, 0, 0],
    [1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
    [2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0],
    [4, 6, 0xff, 0, 0, 1],
  ]);
});

test('MCFG: one bus at 0xE0000000', () => {
  const data = viewOf(build(1).tables.get('MCFG')!);
  assert.equal(data.getBigUint64(44, true), 0xe0000000n);
  assert.deepEqual([data.getUint16(52, true), data.getUint8(54), data.getUint8(55)], [0, 0, 0]);
});

test('AML encodings', () => {
  assert.deepEqual(integer(0), [0]);
  assert.deepEqual(integer(0x1234), [0x0b, 0x34, 0x12]);
  assert.deepEqual(integer(0xdeadbeef), [0x0c, 0xef, 0xbe, 0xad, 0xde]);
  assert.deepEqual(eisaId('PNP0A08'), [0x0c, 0x41, 0xd0, 0x0a, 0x08]);
  assert.deepEqual(string('A'), [0x0d, 0x41, 0]);
  assert.deepEqual(name('\\_S5', pack(integer(5))), [0x08, 0x5c, 0x5f, 0x53, 0x35, 0x5f, 0x12, 0x04, 1, 0x0a, 5]);
  assert.deepEqual(device('AB'), [0x5b, 0x82, 5, 0x41, 0x42, 0x5f, 0x5f]);
  assert.deepEqual(resources(), [0x11, 5, 0x0a, 2, 0x79, 0]);
  const filler = (length: number): number[] => new Array<number>(length).fill(0);
  assert.deepEqual(scope('AAAA', filler(58)).slice(0, 2), [0x10, 0x3f]);
  assert.deepEqual(scope('AAAA', filler(59)).slice(0, 3), [0x10, 0x41, 0x04]);
  assert.deepEqual(scope('AAAA', filler(5000)).slice(0, 4), [0x10, 0x8f, 0x38, 0x01]);
  assert.equal(buffer(filler(300)).length, 1 + 2 + 3 + 300);
  assert.throws(() => name('TOOLONG', []), /not a name/);
  assert.throws(() => pack(...new Array<number[]>(256).fill([0])), /too long/);
});

/** Walks AML objects that have a PkgLength and checks that each ends inside its parent. */
function deviceNames(bytes: Uint8Array, from: number, to: number, found: string[]): string[] {
  const packageEnd = (at: number): { start: number; end: number } => {
    const extra = bytes[at]! >> 6;
    let length = bytes[at]! & (extra === 0 ? 0x3f : 0x0f);
    for (let index = 0; index < extra; index++) length |= bytes[at + 1 + index]! << (4 + 8 * index);
    return { start: at + 1 + extra, end: at + length };
  };
  for (let at = from; at < to; ) {
    const opcode = bytes[at] === 0x5b ? 0x5b00 | bytes[at + 1]! : bytes[at]!;
    const skip = { 0: 1, 1: 1, 0x0a: 2, 0x0b: 3, 0x0c: 5, 0x08: bytes[at + 1] === 0x5c ? 6 : 5 }[opcode];
    if (skip !== undefined) {
      at += skip;
    } else if (opcode === 0x0d) {
      at = bytes.indexOf(0, at) + 1;
    } else {
      const { start, end } = packageEnd(at + (opcode > 0xff ? 2 : 1));
      assert.ok([0x10, 0x11, 0x12, 0x5b82].includes(opcode), `opcode 0x${opcode.toString(16)} at ${at}`);
      assert.ok(end <= to && end > start, `object at ${at}`);
      if (opcode === 0x5b82) found.push(String.fromCharCode(...bytes.subarray(start, start + 4)));
      if (opcode === 0x5b82) deviceNames(bytes, start + 4, end, found);
      if (opcode === 0x10) deviceNames(bytes, start + 5, end, found);
      if (opcode === 0x12) deviceNames(bytes, start + 1, end, found);
      at = end;
    }
  }
  return found;
}

test('DSDT: every object ends inside its parent; the devices are there', () => {
  const table = build(1).tables.get('DSDT')!;
  assert.deepEqual(deviceNames(table.bytes, 36, table.bytes.length, []), ['PCI0', 'MBRD', 'COM1', 'RTC_', 'PWRB']);
});

test('PCI interrupts take turns over four lines', () => {
  assert.deepEqual(
    [0, 1, 2, 3].map((pin) => pciInterruptGsi(PARAVIRT_BOARD, 0, pin)),
    [16, 17, 18, 19],
  );
  assert.equal(pciInterruptGsi(PARAVIRT_BOARD, 5, 3), 16);
});

/** ACPICA's own compiler, where it is installed: the second opinion on what the tests above check alone. */
function iaslVersion(): string {
  try {
    return execFileSync('iasl', ['-v'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return '';
  }
}

test('iasl, when installed, disassembles all tables and compiles the result without a warning', () => {
  if (iaslVersion() === '') return;
  const folder = mkdtempSync(join(tmpdir(), 'hanok-acpi-'));
  try {
    for (const table of build(2).tables.values()) {
      const file = join(folder, `${table.signature}.aml`);
      writeFileSync(file, table.bytes);
      execFileSync('iasl', ['-d', file], { stdio: 'ignore' });
      const source = join(folder, `${table.signature}.dsl`);
      assert.doesNotMatch(readFileSync(source, 'utf8'), /incorrect checksum|invalid|unknown/i, table.signature);
      if (table.signature !== 'DSDT') continue;
      assert.match(execFileSync('iasl', ['-p', join(folder, 'again'), source], { encoding: 'utf8' }), /0 Errors, 0 Warnings/);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
