import { PCI_ECAM_BASE, PCI_MMIO_BASE, PciFunction, rng } from '@hanok/devices';
import { CountingEntropy } from './fake-backends.ts';
import { Random } from './random.ts';
import { TestBoard } from './test-board.ts';

const RAM_SIZE_BYTES = 64 * 1024;
const CHECK_INTERVAL = 8192;
const FUNCTIONS = 3;
const VECTORS = 40;

/** Configuration space through both mechanisms, BARs that move over each other, and MSI-X tables and masks. */
export function fuzz(seed: number, operations: number): void {
  const random = new Random(seed);
  const board = new TestBoard(RAM_SIZE_BYTES);
  const functions = Array.from({ length: FUNCTIONS }, (_item, index) => makeFunction(`f${index}`));
  for (const pciFunction of functions) board.bus.add(pciFunction);
  board.add(rng({ source: new CountingEntropy() }, board));
  for (let operation = 1; operation <= operations; operation++) {
    step(random, board, functions);
    if (operation % CHECK_INTERVAL === 0) check(board, functions);
  }
  check(board, functions);
}

function makeFunction(name: string): PciFunction {
  return new PciFunction({
    name,
    vendorId: 0x1234,
    deviceId: 1,
    classCode: 0xff0000,
    interruptPin: 1,
    bars: [
      { index: 0, kind: 'memory64', sizeBytes: 0x2000, regions: [] },
      { index: 2, kind: 'memory32', sizeBytes: 0x4000, regions: [] },
    ],
    msix: { vectorCount: VECTORS, barIndex: 0, tableOffset: 0, pendingOffset: 0x1000 },
  });
}

function step(random: Random, board: TestBoard, functions: readonly PciFunction[]): void {
  const choice = random.below(100);
  const pciFunction = random.pick(functions);
  board.messages.length = 0;
  if (choice < 25)
    board.ports.write(0xcf8 + random.below(8), random.chance(70) ? 0x80000000 + random.below(0x2800) : random.value(), random.width());
  else if (choice < 35) expectWidth(board.ports.read(0xcf8 + random.below(8), 4), 4);
  else if (choice < 55) moveBar(random, board);
  else if (choice < 65) board.mmio.write(ecam(random), random.value(), random.width());
  else if (choice < 72) expectWidth(board.mmio.read(ecam(random), 2), 2);
  else if (choice < 85) board.mmio.write(PCI_MMIO_BASE + random.below(0x20) * 0x800 + random.below(0x800), random.value(), random.width());
  else if (choice < 90) expectWidth(board.mmio.read(PCI_MMIO_BASE + random.below(0x10000), 1), 1);
  else if (choice < 93) pciFunction.msix!.raise(random.chance(95) ? random.below(VECTORS) : random.value());
  else if (choice < 95) openMsix(random, board, functions);
  else if (choice < 97) pciFunction.setIntx(random.chance(50));
  else if (choice < 98) pciFunction.restore(structuredClone(pciFunction.save()));
  else if (choice < 99) board.bus.restore(board.bus.save());
  else pciFunction.reset();
  for (const message of board.messages)
    if (message.address >>> 20 !== 0xfee) throw new Error(`a message went to 0x${message.address.toString(16)}`);
}

/** Aims at few places, so that BARs meet. */
function moveBar(random: Random, board: TestBoard): void {
  const device = 1 + random.below(FUNCTIONS + 1);
  const register = random.pick([0x04, 0x10, 0x14, 0x18, 0x40, 0x42]);
  const value =
    register >= 0x10 && register !== 0x14 && register < 0x40
      ? PCI_MMIO_BASE + random.below(0x10) * 0x1000
      : random.pick([0, 2, 6, 0x8000, 0xc000]);
  board.writeConfig(device, register, random.chance(90) ? value : random.value(), register === 0x10 || register === 0x18 ? 4 : 2);
}

/** Switches MSI-X on and unmasks an entry as a driver would, with an address that may be anything. */
function openMsix(random: Random, board: TestBoard, functions: readonly PciFunction[]): void {
  const index = random.below(functions.length);
  board.writeConfig(index + 1, 0x04, 6, 2);
  board.writeConfig(index + 1, 0x42, 0x8000, 2);
  const entry = (functions[index]!.bars[0]!.mappedAt ?? 0) + random.below(VECTORS) * 16;
  board.mmio.write(entry, random.chance(50) ? 0xfee00000 : random.value(), 4);
  board.mmio.write(entry + 4, random.chance(90) ? 0 : random.value(), 4);
  board.mmio.write(entry + 12, 0, 4);
}

function ecam(random: Random): number {
  return PCI_ECAM_BASE + (random.chance(90) ? random.below(FUNCTIONS + 2) * 0x8000 + random.below(0x120) : random.below(0x200000));
}

function expectWidth(value: number, widthBytes: number): void {
  if (!(Number.isInteger(value) && value >= 0 && value < 2 ** (widthBytes * 8)))
    throw new Error(`a read of ${widthBytes} bytes gave ${value}`);
}

/** No two BARs overlap, and each answers where its registers say or nowhere. */
function check(board: TestBoard, functions: readonly PciFunction[]): void {
  board.checkGuards();
  const bars = functions.flatMap((pciFunction) => pciFunction.bars.map((bar) => ({ bar, pciFunction })));
  for (const { bar, pciFunction } of bars) {
    const at = bar.mappedAt;
    if (at === undefined) continue;
    if (!pciFunction.memoryEnabled || bar.address(pciFunction.config) !== at)
      throw new Error(`${bar.name} answers at 0x${at.toString(16)} without being there`);
    if (board.mmio.nameAt(at) !== bar.name) throw new Error(`${bar.name} is not what answers at 0x${at.toString(16)}`);
    const clash = bars.find(
      ({ bar: other }) =>
        other !== bar && other.mappedAt !== undefined && other.mappedAt < at + bar.sizeBytes && at < other.mappedAt + other.sizeBytes,
    );
    if (clash) throw new Error(`${bar.name} overlaps ${clash.bar.name}`);
  }
}
