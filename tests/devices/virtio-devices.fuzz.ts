import { blk, rng, virtioConsole } from '@hanok/devices';
import type { VirtioPciDevice } from '@hanok/devices';
import type { ConsoleBackend } from '@hanok/machine';
import { CountingEntropy, FakeDisk } from './fake-backends.ts';
import { GuestDriver } from './guest-driver.ts';
import type { GuestBuffer } from './guest-queue.ts';
import { Random } from './random.ts';
import { TestBoard } from './test-board.ts';

const RAM_SIZE_BYTES = 128 * 1024;
const CHECK_INTERVAL = 8192;
const TURN_INTERVAL = 32;

/** A device under attack, and what its outside does meanwhile. */
interface Target {
  readonly board: TestBoard;
  readonly device: VirtioPciDevice;
  readonly virtioId: number;
  /** How many requests in a hundred have the shape of a disk's. */
  readonly diskShaped: number;
  outside(random: Random): void;
}

/** A console whose outside never remembers anything. */
class NoisyConsole implements ConsoleBackend {
  readonly #random: Random;
  #input: (bytes: Uint8Array) => number = () => 0;
  #drain: () => void = () => {};
  #end: () => void = () => {};
  #resize: (columns: number, rows: number) => void = () => {};

  constructor(random: Random) {
    this.#random = random;
  }

  write(): boolean {
    return this.#random.chance(80);
  }

  onInput(listener: (bytes: Uint8Array) => number): void {
    this.#input = listener;
  }

  ready(): void {
    if (this.#random.chance(50)) this.#send();
  }

  onDrain(listener: () => void): void {
    this.#drain = listener;
  }

  onEnd(listener: () => void): void {
    this.#end = listener;
  }

  onResize(listener: (columns: number, rows: number) => void): void {
    this.#resize = listener;
  }

  act(): void {
    const random = this.#random;
    const choice = random.below(10);
    if (choice < 5) this.#send();
    else if (choice < 8) this.#drain();
    else if (choice < 9) this.#end();
    else this.#resize(random.value(), random.value());
  }

  #send(): void {
    const bytes = new Uint8Array(this.#random.below(200));
    const taken = this.#input(bytes);
    if (!(taken >= 0 && taken <= bytes.length)) throw new Error(`the port took ${taken} of ${bytes.length} bytes`);
  }
}

const targets: Record<string, (random: Random) => Target> = {
  blk() {
    const board = new TestBoard(RAM_SIZE_BYTES);
    const disk = new FakeDisk(64 * 512);
    const outside = (random: Random) => {
      disk.calls.length = 0;
      if (disk.violations.length > 0) throw new Error(`the device left the disk: ${disk.violations[0]}`);
      disk.broken = random.chance(10);
      if (random.chance(30)) disk.hold();
      else disk.release();
    };
    return { board, device: blk({ backend: disk, serial: 'fuzz' }, board), virtioId: 2, diskShaped: 97, outside };
  },
  console(random) {
    const board = new TestBoard(RAM_SIZE_BYTES);
    const backends = [0, 1, 2].map(() => new NoisyConsole(random));
    const ports = backends.map((backend, id) => ({ name: `port${id}`, backend, isConsole: id === 0 }));
    return { board, device: virtioConsole({ ports }, board), virtioId: 3, diskShaped: 10, outside: (other) => other.pick(backends).act() };
  },
  rng() {
    const board = new TestBoard(RAM_SIZE_BYTES);
    return { board, device: rng({ source: new CountingEntropy() }, board), virtioId: 4, diskShaped: 30, outside: () => {} };
  },
};

export const FUZZED_DEVICES = Object.keys(targets);

/** Registers, rings and buffers of one kind of device, driven by somebody who knows the rules and rarely keeps them. */
export async function fuzzDevice(kind: string, seed: number, operations: number): Promise<void> {
  const random = new Random(seed);
  const attacker = new Attacker(targets[kind]!(random), random);
  for (let operation = 1; operation <= operations; operation++) {
    attacker.step();
    if (operation % TURN_INTERVAL === 0) await new Promise((resolve) => setImmediate(resolve));
    if (operation % CHECK_INTERVAL === 0) await attacker.cycle();
  }
  attacker.check();
}

/** Each kind in turn, an equal share each. */
export async function fuzz(seed: number, operations: number): Promise<void> {
  for (const kind of FUZZED_DEVICES) await fuzzDevice(kind, seed, Math.ceil(operations / FUZZED_DEVICES.length));
}

class Attacker {
  readonly #target: Target;
  readonly #random: Random;
  readonly #board: TestBoard;
  readonly #driver: GuestDriver;
  readonly #written: { gpa: number; lengthBytes: number }[] = [];

  constructor(target: Target, random: Random) {
    this.#target = target;
    this.#random = random;
    this.#board = target.board;
    this.#board.add(target.device);
    this.#driver = new GuestDriver(this.#board, target.virtioId);
    this.#board.memory.onWritten((gpa, lengthBytes) => void this.#written.push({ gpa, lengthBytes }));
    this.#start();
  }

  step(): void {
    const random = this.#random;
    const choice = random.below(1000);
    this.#board.messages.length = 0;
    this.#written.length = 0;
    if (choice < 400) this.#request();
    else if (choice < 500) this.#target.outside(random);
    else if (choice < 560) this.#notifyChecked();
    else if (choice < 700) this.#readSomething();
    else if (choice < 760) this.#scribble();
    else if (choice < 830) this.#board.clock.advance(random.below(3));
    else if (choice < 850) this.#writeRegister();
    else if (choice < 860) this.#board.writeConfig(this.#driver.device, 4, random.chance(80) ? 6 : 2, 2);
    else if (choice < 870) this.#configAccess();
    if (this.#driver.needsReset ? choice > 940 : choice > 996) this.#start();
  }

  /** Pause, save, perhaps reset, restore, resume: at any point, with whatever is under way. */
  async cycle(): Promise<void> {
    const { device } = this.#target;
    const paused = device.pause();
    while (!(await Promise.race([paused.then(() => true), new Promise<false>((resolve) => setImmediate(() => resolve(false)))]))) {
      this.#target.outside(this.#random);
    }
    const state = structuredClone(device.save());
    if (this.#random.chance(50)) device.reset();
    device.restore(state);
    device.resume();
    this.check();
  }

  check(): void {
    this.#board.checkGuards();
  }

  /** A proper start with rings at the bottom of RAM, with features and sizes left to chance. */
  #start(): void {
    const random = this.#random;
    const driver = this.#driver;
    this.#board.writeConfig(driver.device, 4, 6, 2);
    this.#board.rewindAllocations();
    this.#board.memory.slice(0, 0x8000)!.fill(0);
    driver.start({
      features: random.chance(70) ? ~0n : BigInt(random.word()),
      queueSize: 1 << (random.chance(90) ? 2 + random.below(5) : random.below(2)),
      msix: random.chance(80),
    });
  }

  #request(): void {
    const random = this.#random;
    const index = random.below(this.#driver.queues.length);
    const queue = this.#driver.queues[index]!;
    const buffers =
      queue.size > 2 && random.chance(this.#target.diskShaped) ? this.#blockRequest() : this.#anyRequest(Math.min(queue.size, 5));
    const header = buffers[0]!;
    this.#board.memory.writeU32(header.gpa, random.pick([0, 0, 1, 1, 4, 8, 11, 13, random.below(20)]));
    this.#board.memory.writeU32(header.gpa + 4, random.chance(50) ? random.below(8) + 0x10000 * random.below(2) : random.value());
    this.#board.memory.writeU32(header.gpa + 8, random.chance(80) ? random.below(70) : random.value());
    this.#board.memory.writeU32(header.gpa + 12, random.chance(95) ? 0 : random.value());
    queue.submit(buffers, false);
    if (random.chance(80)) this.#driver.notify(index);
  }

  #anyRequest(lengthMax: number): GuestBuffer[] {
    const random = this.#random;
    const writableFrom = random.below(5);
    return Array.from({ length: 1 + random.below(lengthMax) }, (_item, place) => ({
      gpa: this.#address(),
      lengthBytes: random.pick([1, 8, 16, 16, 512, 1024, random.below(5000)]),
      writable: place >= writableFrom,
    }));
  }

  /** Header, whole sectors, status. */
  #blockRequest(): GuestBuffer[] {
    const random = this.#random;
    return [
      { gpa: this.#address(), lengthBytes: 16, writable: false },
      { gpa: this.#address(), lengthBytes: random.below(8) * 512, writable: random.chance(50) },
      { gpa: this.#address(), lengthBytes: 1, writable: true },
    ];
  }

  /** Every byte that a notification changes must be announced to the engines. */
  #notifyChecked(): void {
    const { memory } = this.#board;
    const before = this.#board.bytes(0, memory.sizeBytes);
    this.#driver.notify(this.#random.below(this.#driver.queues.length + 1));
    const after = this.#board.bytes(0, memory.sizeBytes);
    for (const { gpa, lengthBytes } of this.#written) before.set(after.subarray(gpa, gpa + lengthBytes), gpa);
    if (Buffer.compare(before, after) !== 0) throw new Error('the device changed RAM without telling the engines');
  }

  #readSomething(): void {
    const random = this.#random;
    const offset = random.chance(90) ? random.below(64) : random.below(0x8000);
    const base = this.#driver.regions.get(random.pick([...this.#driver.regions.keys()]))!.base;
    const width = random.width();
    const value = this.#board.mmio.read(base + offset, width);
    if (!(value >= 0 && value < 2 ** (width * 8))) throw new Error(`a read of ${width} bytes gave ${value}`);
  }

  #writeRegister(): void {
    const random = this.#random;
    const region = this.#driver.regions.get(random.pick([1, 1, 1, ...this.#driver.regions.keys()]))!;
    this.#board.mmio.write(region.base + random.below(64), random.value(), random.width());
  }

  /** Through the PCI configuration access capability. */
  #configAccess(): void {
    const random = this.#random;
    const { device, pciCfgCapability: capability } = this.#driver;
    this.#board.writeConfig(device, capability + 8, random.chance(80) ? random.below(0x4000) : random.value(), 4);
    this.#board.writeConfig(device, capability + 12, random.chance(80) ? random.width() : random.value(), 4);
    if (random.chance(50)) this.#board.readConfig(device, capability + 16, random.width());
    else this.#board.writeConfig(device, capability + 16, random.value(), random.width());
  }

  #scribble(): void {
    const gpa = this.#random.chance(50) ? this.#random.below(0x8000) : this.#address();
    for (let i = 0; i < 2; i++) this.#board.memory.writeU16(gpa + i * 2, this.#random.value());
  }

  #address(): number {
    const random = this.#random;
    if (random.chance(1)) return random.value();
    return random.chance(3) ? RAM_SIZE_BYTES - random.below(600) : 0x8000 + random.below(RAM_SIZE_BYTES - 0x8000 - 5000);
  }
}
