import { test } from 'node:test';
import { fuzz as fuzzPci } from './pci.fuzz.ts';
import { FUZZED_DEVICES, fuzzDevice } from './virtio-devices.fuzz.ts';
import { fuzz as fuzzVirtqueue } from './virtqueue.fuzz.ts';

const operations = Number(process.env['HANOK_FUZZ_OPERATIONS'] ?? 200000);
const seed = Number(process.env['HANOK_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

/** A device's operation costs more than one of the ring's. */
const DEVICE_SHARE = 5;

type Target = readonly [name: string, count: number, fuzz: (seed: number, operations: number) => void | Promise<void>];

const targets: Target[] = [
  ['virtqueue', operations, fuzzVirtqueue],
  ['PCI configuration space, BARs and MSI-X', operations, fuzzPci],
  ...FUZZED_DEVICES.map(
    (kind): Target => [`virtio ${kind}`, Math.ceil(operations / DEVICE_SHARE), (from, count) => fuzzDevice(kind, from, count)],
  ),
];

for (const [name, count, fuzz] of targets) {
  test(`${name} survives ${count} operations (HANOK_FUZZ_SEED=${seed})`, () => fuzz(seed, count));
}
