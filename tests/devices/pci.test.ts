import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PCI_ECAM_BASE, PCI_MMIO_BASE, PciBus, PciFunction, PciMmioAllocator } from '@hanok/devices';
import { IoSpace } from '@hanok/machine';
import { TestBoard, settle } from './test-board.ts';

const BAR_SIZE_BYTES = 0x2000;
const MESSAGE = { address: 0xfee01000, data: 0x4041 };

function makeFunction(name: string, interruptPin = 1): PciFunction {
  return new PciFunction({
    name,
    vendorId: 0x1234,
    deviceId: 0x5678,
    classCode: 0x028001,
    interruptPin,
    bars: [
      {
        index: 0,
        kind: 'memory64',
        sizeBytes: BAR_SIZE_BYTES,
        regions: [{ offset: 0, sizeBytes: 0x100, handler: { read: (offset) => offset + 0xa0, write: () => {} } }],
      },
      { index: 2, kind: 'memory32', sizeBytes: 0x1000, regions: [] },
    ],
    msix: { vectorCount: 66, barIndex: 0, tableOffset: 0x1000, pendingOffset: 0x1800 },
  });
}

function setUp() {
  const board = new TestBoard();
  const functions = ['one', 'two'].map((name) => makeFunction(name));
  const devices = functions.map((one) => board.bus.add(one));
  const bar = (device: number, index = 0) => (board.readConfig(device, 0x10 + index * 4, 4) & -16) >>> 0;
  return { board, functions, devices, bar };
}

test('the host bridge is device 0, and empty places read as ones', () => {
  const { board } = setUp();
  assert.equal(board.readConfig(0, 0x0a, 2), 0x0600);
  assert.equal(board.readConfig(9, 0, 4), 0xffffffff);
  board.ports.write(0xcf8, 0x80010800, 4);
  assert.equal(board.ports.read(0xcfc, 4), 0xffffffff);
  board.ports.write(0xcf8, 0x80000900, 4);
  assert.equal(board.ports.read(0xcfc, 4), 0xffffffff);
});

test('mechanism #1: the probe that systems make, all widths, and the enable bit', () => {
  const { board, devices } = setUp();
  board.ports.write(0xcfb, 0x01, 1);
  board.ports.write(0xcf8, 0x80000000, 4);
  assert.equal(board.ports.read(0xcf8, 4), 0x80000000);
  const device = devices[0]!;
  assert.deepEqual(
    [board.readConfig(device, 0, 4), board.readConfig(device, 2, 2), board.readConfig(device, 3, 1)],
    [0x56781234, 0x5678, 0x56],
  );
  board.ports.write(0xcf8, device << 11, 4);
  assert.equal(board.ports.read(0xcfc, 4), 0xffffffff);
});

test('port 0xCF9 goes to the reset control, and only by bytes', () => {
  const writes: number[] = [];
  const ports = new IoSpace('ports');
  new PciBus({
    ports,
    mmio: new IoSpace('mmio'),
    msi: { send: () => {} },
    resetControl: { read: () => 0x0e, write: (_offset, value) => void writes.push(value) },
  });
  ports.write(0xcf9, 6, 1);
  ports.write(0xcf9, 7, 2);
  assert.deepEqual([writes, ports.read(0xcf9, 1), ports.read(0xcf8, 1)], [[6], 0x0e, 0xff]);
});

test('ECAM shows the same registers, bus 0 only', () => {
  const { board, devices } = setUp();
  const base = PCI_ECAM_BASE + devices[1]! * 0x8000;
  assert.equal(board.mmio.read(base, 4), 0x56781234);
  board.mmio.write(base + 0x3c, 0x77, 1);
  assert.equal(board.readConfig(devices[1]!, 0x3c, 1), 0x77);
  assert.equal(board.mmio.read(base + 0x100, 4), 0);
  assert.equal(board.mmio.read(PCI_ECAM_BASE + 0x100000, 4), 0xffffffff);
  assert.equal(board.mmio.read(PCI_ECAM_BASE + 0x1000, 4), 0xffffffff);
  assert.equal(board.mmio.read(base + 0xffe, 4), 0xffffffff);
});

test('identity registers and unimplemented ones cannot be written', () => {
  const { board, devices } = setUp();
  for (let register = 0; register < 0x10; register += 4) if (register !== 4) board.writeConfig(devices[0]!, register, 0xffffffff, 4);
  assert.deepEqual([board.readConfig(devices[0]!, 0, 4), board.readConfig(devices[0]!, 8, 4)], [0x56781234, 0x02800100]);
  board.writeConfig(devices[0]!, 0xf0, 0xffffffff, 4);
  assert.equal(board.readConfig(devices[0]!, 0xf0, 4), 0);
});

test('BARs are sized by writing ones, and keep their type bits', () => {
  const { board, devices } = setUp();
  const device = devices[0]!;
  for (const register of [0x10, 0x14, 0x18, 0x1c]) board.writeConfig(device, register, 0xffffffff, 4);
  assert.deepEqual(
    [0x10, 0x14, 0x18, 0x1c].map((register) => board.readConfig(device, register, 4)),
    [0xffffe004, 0xffffffff, 0xfffff000, 0],
  );
});

test('BARs answer where they are put, when memory space is on', () => {
  const { board, devices, bar } = setUp();
  const device = devices[0]!;
  const before = bar(device);
  assert.equal(board.mmio.read(before + 4, 1), 0xa4);
  board.writeConfig(device, 4, 0, 2);
  assert.equal(board.mmio.read(before + 4, 1), 0xff);
  board.writeConfig(device, 0x10, PCI_MMIO_BASE + 0x800000, 4);
  assert.equal(board.mmio.read(PCI_MMIO_BASE + 0x800004, 1), 0xff);
  board.writeConfig(device, 4, 2, 2);
  assert.deepEqual([board.mmio.read(PCI_MMIO_BASE + 0x800004, 1), board.mmio.read(before + 4, 1)], [0xa4, 0xff]);
});

test('a BAR over another waits until the place is free; one outside the window answers nowhere', () => {
  const { board, functions, devices, bar } = setUp();
  const [one, two] = [bar(devices[0]!), bar(devices[1]!)];
  board.writeConfig(devices[1]!, 0x10, one, 4);
  assert.deepEqual([functions[1]!.bars[0]!.mappedAt, functions[0]!.bars[0]!.mappedAt], [undefined, one]);
  board.writeConfig(devices[0]!, 0x10, two, 4);
  assert.deepEqual(
    functions.map((pciFunction) => pciFunction.bars[0]!.mappedAt),
    [two, one],
  );
  for (const [low, high] of [
    [0xfee00000, 0],
    [PCI_MMIO_BASE, 1],
    [0xdffff000, 0],
    [0, 0],
  ]) {
    board.writeConfig(devices[0]!, 0x10, low!, 4);
    board.writeConfig(devices[0]!, 0x14, high!, 4);
    assert.equal(functions[0]!.bars[0]!.mappedAt, low === 0xdffff000 ? 0xdfffe000 : undefined);
  }
});

test('reset puts everything back where firmware had it', () => {
  const { board, functions, devices, bar } = setUp();
  const before = bar(devices[0]!);
  board.writeConfig(devices[0]!, 0x10, PCI_MMIO_BASE + 0x900000, 4);
  functions[0]!.reset();
  assert.deepEqual([bar(devices[0]!), functions[0]!.bars[0]!.mappedAt], [before, before]);
});

test('MSI-X: entries start masked; messages wait for vector mask, function mask and bus mastering', () => {
  const { board, functions, devices, bar } = setUp();
  const device = devices[0]!;
  const msix = functions[0]!.msix!;
  const capability = board.readConfig(device, 0x34, 1);
  const [table, pending] = [bar(device) + 0x1000, bar(device) + 0x1800];
  assert.deepEqual([board.readConfig(device, capability, 1), board.readConfig(device, capability + 2, 2)], [0x11, 65]);
  assert.equal(board.mmio.read(table + 65 * 16 + 12, 4), 1);
  board.writeConfig(device, 4, 6, 2);
  msix.raise(65);
  board.writeConfig(device, capability + 2, 0x8000, 2);
  assert.equal(board.mmio.read(pending + 8, 4), 0);
  board.mmio.write(table + 65 * 16, MESSAGE.address, 4);
  board.mmio.write(table + 65 * 16 + 8, MESSAGE.data, 4);
  msix.raise(65);
  assert.deepEqual([board.mmio.read(pending + 8, 4), board.messages.length], [2, 0]);
  board.writeConfig(device, capability + 2, 0xc000, 2);
  board.mmio.write(table + 65 * 16 + 12, 0, 4);
  assert.equal(board.messages.length, 0);
  board.writeConfig(device, 4, 2, 2);
  board.writeConfig(device, capability + 2, 0x8000, 2);
  assert.equal(board.messages.length, 0);
  board.writeConfig(device, 4, 6, 2);
  assert.deepEqual([board.messages, board.mmio.read(pending + 8, 4)], [[MESSAGE], 0]);
});

test('MSI-X: a message that is no interrupt goes nowhere', () => {
  const { board, functions, devices, bar } = setUp();
  const device = devices[0]!;
  const table = bar(device) + 0x1000;
  board.writeConfig(device, 4, 6, 2);
  board.writeConfig(device, board.readConfig(device, 0x34, 1) + 2, 0x8000, 2);
  board.mmio.write(table, 0x00100000, 4);
  board.mmio.write(table + 12, 0, 4);
  functions[0]!.msix!.raise(0);
  functions[0]!.msix!.raise(66);
  assert.deepEqual(board.messages, []);
});

test('INTx wires are shared: released when the last device releases', () => {
  const board = new TestBoard();
  const functions = Array.from({ length: 5 }, (_, index) => makeFunction(`f${index}`));
  for (const pciFunction of functions) board.bus.add(pciFunction);
  assert.deepEqual([board.readConfig(1, 0x3c, 2), board.readConfig(4, 0x3c, 2)], [0x0111, 0x0110]);
  functions[0]!.setIntx(true);
  functions[4]!.setIntx(true);
  assert.deepEqual(board.intx, [false, true, false, false]);
  functions[0]!.setIntx(false);
  assert.equal(board.intx[1], true);
  functions[4]!.setIntx(false);
  assert.equal(board.intx[1], false);
});

test('a function is saved and restored, taking only what a guest could write', async () => {
  const { board, functions, devices, bar } = setUp();
  board.writeConfig(devices[0]!, 0x10, PCI_MMIO_BASE + 0x900000, 4);
  board.mmio.write(bar(devices[0]!) + 0x1000, MESSAGE.address, 4);
  const state = structuredClone(functions[0]!.save());
  (state['config'] as Uint8Array).fill(0xee, 0, 4);
  functions[0]!.reset();
  functions[0]!.restore(state);
  await settle();
  assert.deepEqual([bar(devices[0]!), board.mmio.read(PCI_MMIO_BASE + 0x901000, 4)], [PCI_MMIO_BASE + 0x900000, MESSAGE.address]);
  assert.equal(board.readConfig(devices[0]!, 0, 4), 0x56781234);
  assert.throws(
    () => functions[0]!.restore({ version: 1, intx: false, config: new Uint8Array(3) }),
    /one PCI function: field config is not a byte array/,
  );
  const bus = board.bus.save();
  board.bus.restore(bus);
  assert.throws(() => board.bus.restore({ ...bus, address: -1 }), /pci: field address/);
});

test('too much is refused by name', () => {
  assert.throws(() => new PciMmioAllocator(0, 0x1000).allocate('disk BAR 0', 0x2000), /disk BAR 0: no room/);
  const board = new TestBoard();
  for (let i = 0; i < 31; i++) board.bus.add(makeFunction(`f${i}`));
  assert.throws(() => board.bus.add(makeFunction('last')), /last: the PCI bus has all 32 devices/);
  assert.throws(() => new TestBoard().bus.add(makeAttached()), /on a PCI bus already/);
});

function makeAttached(): PciFunction {
  const pciFunction = makeFunction('attached');
  new TestBoard().bus.add(pciFunction);
  return pciFunction;
}
