import { Virtqueue } from '@hanok/devices';
import type { DescriptorChain } from '@hanok/devices';
import { Random } from './random.ts';
import { TestBoard } from './test-board.ts';

const RAM_SIZE_BYTES = 128 * 1024;
const CHECK_INTERVAL = 8192;
const GUEST_FLAGS = [0, 1, 2, 3, 4, 5, 6, 7, 0xffff];

/**
 * The ring code against a driver that keeps some rules and breaks others: descriptors, rings and indices change at any
 * moment. Nothing may throw, take more than it is given, or leave guest RAM.
 */
export function fuzz(seed: number, operations: number): void {
  new RingFuzz(seed).run(operations);
}

class RingFuzz {
  readonly #random: Random;
  readonly #board = new TestBoard(RAM_SIZE_BYTES);
  readonly #queue: Virtqueue;
  readonly #taken: { chain: DescriptorChain; life: number }[] = [];
  readonly #scratch = new Uint8Array(512);
  /** Counts resets: chains of an earlier life must be dead. */
  #life = 0;
  #failed = false;
  #allowed = true;
  #table = 0x1000;
  #available = 0x4000;
  #used = 0x5000;
  #availableIdx = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#queue = new Virtqueue(0, 'fuzzed', 256, {
      memory: this.#board.memory,
      active: () => !this.#failed,
      dmaAllowed: () => this.#allowed,
      interrupt: () => {},
      fail: () => void (this.#failed = true),
      defer: (queue) => queue.beginTurn(),
    });
    this.#start();
  }

  run(operations: number): void {
    for (let operation = 1; operation <= operations; operation++) {
      this.#step();
      if (this.#failed && this.#random.chance(30)) this.#start();
      if (operation % CHECK_INTERVAL === 0) this.#board.checkGuards();
    }
    this.#board.checkGuards();
  }

  #step(): void {
    const random = this.#random;
    const choice = random.below(100);
    if (choice < 35) this.#writeDescriptor();
    else if (choice < 60) this.#offer();
    else if (choice < 85) this.#serve();
    else if (choice < 90) this.#queue.signal();
    else if (choice < 93) this.#scribble();
    else if (choice < 95) this.#allowed = random.chance(80);
    else if (choice < 97) this.#queue.beginTurn();
    else if (choice < 98) this.#start();
    else this.#board.memory.writeU16(this.#available + 2, (this.#availableIdx = random.value() & 0xffff));
  }

  #start(): void {
    const random = this.#random;
    const queue = this.#queue;
    queue.reset(0xffff);
    this.#life += 1;
    this.#failed = false;
    this.#availableIdx = 0;
    queue.size = 1 << random.below(9);
    queue.indirect = random.chance(70);
    queue.eventIdx = random.chance(50);
    [this.#table, this.#available, this.#used] = random.chance(90)
      ? [0x1000, 0x4000, 0x5000]
      : [this.#address(), this.#address(), this.#address()];
    [this.#table, this.#available, this.#used].forEach((gpa, ring) => {
      queue.addressWords[ring * 2] = gpa;
      queue.addressWords[ring * 2 + 1] = random.chance(2) ? random.value() : 0;
    });
    this.#board.memory.writeU32(this.#available & ~1, 0);
    queue.enable();
    queue.beginTurn();
  }

  /** Mostly what a driver could mean, anywhere a table may be. */
  #writeDescriptor(): void {
    const random = this.#random;
    const at = (random.chance(80) ? this.#table : 0x8000) + random.below(this.#queue.size) * 16;
    const { memory } = this.#board;
    memory.writeU32(at, this.#address());
    memory.writeU32(at + 4, random.chance(2) ? random.value() : 0);
    memory.writeU32(at + 8, random.chance(90) ? random.below(64) * (random.chance(50) ? 16 : 1) : random.value());
    memory.writeU16(at + 12, random.pick(GUEST_FLAGS));
    memory.writeU16(at + 14, random.chance(95) ? random.below(this.#queue.size) : random.value());
  }

  #offer(): void {
    const { memory } = this.#board;
    const { size } = this.#queue;
    memory.writeU16(
      this.#available + 4 + (this.#availableIdx % size) * 2,
      this.#random.chance(98) ? this.#random.below(size) : this.#random.value(),
    );
    this.#availableIdx = (this.#availableIdx + 1) & 0xffff;
    memory.writeU16(this.#available + 2, this.#availableIdx);
  }

  /** Takes chains, copies through them, gives old ones back. */
  #serve(): void {
    const random = this.#random;
    const chain = this.#queue.pop();
    if (chain) {
      if (chain.head >= this.#queue.size) throw new Error(`head ${chain.head} of a queue of ${this.#queue.size}`);
      chain.readable.copyTo(random.chance(80) ? random.below(64) : random.value(), this.#scratch);
      chain.writable.copyFrom(random.chance(80) ? random.below(64) : random.value(), this.#scratch);
      this.#taken.push({ chain, life: this.#life });
    }
    if (this.#taken.length > 0 && random.chance(80)) this.#giveBack(random.below(this.#taken.length));
    if (this.#taken.length > 64) this.#taken.length = 0;
  }

  #giveBack(index: number): void {
    const { chain, life } = this.#taken.splice(index, 1)[0]!;
    const usedIdx = () => this.#board.memory.readU16(this.#used + 2);
    const before = usedIdx();
    const copied = chain.writable.copyFrom(0, this.#scratch);
    this.#queue.push(chain, this.#random.value());
    if (life !== this.#life && (copied > 0 || usedIdx() !== before)) throw new Error('a chain from before the reset still worked');
  }

  #scribble(): void {
    const gpa = this.#address();
    for (let i = 0; i < 8; i++) this.#board.memory.writeU32(gpa + i * 4, this.#random.value());
  }

  #address(): number {
    const random = this.#random;
    if (random.chance(5)) return random.value();
    return random.chance(10) ? RAM_SIZE_BYTES - random.below(64) : random.below(RAM_SIZE_BYTES);
  }
}
