/** Bits of a page's word: vCPUs that translated code of it, and (shifted) those whose TLB may hold the right to write it. */
const CODE = 0xffff;
const WRITERS_SHIFT = 16;
export const VCPU_COUNT_MAX = 16;

/** A bit of the upper level stands for this many words of the lower one, which has a bit a page. */
const WORDS_PER_SUMMARY_BIT = 32;
const bitWords = (bits: number) => Math.ceil(bits / 32);

/**
 * Which pages of RAM hold code that vCPUs have translated, in memory shared by all threads of a machine, so that a
 * write drops the translations before anybody can see what was written after it.
 *
 * A vCPU writes pages without a look only while its TLB has the right to; it gets that right only for pages without
 * code, and says so in the page's word. A vCPU that is about to translate code of a page first says so in the same
 * word. Whichever is second sees the other: the translator takes the right away (`VcpuGate`), the writer tells the
 * translator to drop the page and raises its attention flag, all before it writes. A vCPU looks at that flag before it
 * enters translated code. Devices write first and tell afterwards, but before their interrupt.
 */
export class CodePages {
  static sizeBytes(ramBytes: number, vcpuCount = 1): number {
    const pageCount = Math.ceil(ramBytes / 4096);
    const lower = bitWords(pageCount);
    return (pageCount + vcpuCount * (lower + bitWords(Math.ceil(lower / WORDS_PER_SUMMARY_BIT)))) * 4;
  }
  /** Where in its buffer the pages' words begin, one of 32 bits a page. */
  readonly address: number;
  readonly vcpuCount: number;
  readonly #pages: Int32Array;
  /** For each vCPU the pages it has been told to drop and has not dropped yet. */
  readonly #written: readonly Int32Array[];
  readonly #summaries: readonly Int32Array[];
  readonly #wake: (vcpu: number) => void;

  /** Lies in the `sizeBytes` of a buffer behind `address`. `wake` raises the attention flag of a vCPU. */
  constructor(buffer: ArrayBufferLike, address: number, ramBytes: number, vcpuCount = 1, wake: (vcpu: number) => void = () => {}) {
    const pageCount = Math.ceil(ramBytes / 4096);
    const lower = bitWords(pageCount);
    const upper = bitWords(Math.ceil(lower / WORDS_PER_SUMMARY_BIT));
    const startOf = (vcpu: number) => address + (pageCount + vcpu * (lower + upper)) * 4;
    const vcpus = Array.from({ length: vcpuCount }, (_, vcpu) => vcpu);
    this.address = address;
    this.vcpuCount = vcpuCount;
    this.#pages = new Int32Array(buffer, address, pageCount);
    this.#written = vcpus.map((vcpu) => new Int32Array(buffer, startOf(vcpu), lower));
    this.#summaries = vcpus.map((vcpu) => new Int32Array(buffer, startOf(vcpu) + lower * 4, upper));
    this.#wake = wake;
  }

  /** No page holds translated code: for a machine that starts anew, while no vCPU runs. */
  clear(): void {
    for (const words of [this.#pages, ...this.#written, ...this.#summaries]) words.fill(0);
  }

  /** A vCPU is going to translate code of the page. True when others may write it without a look until they are stopped. */
  mark(page: number, vcpu: number): boolean {
    const before = Atomics.or(this.#pages, page, 1 << vcpu);
    return ((before >>> WRITERS_SHIFT) & ~(1 << vcpu)) !== 0;
  }
  /** A vCPU's TLB has lost the right to write the page. */
  disallowWrites(page: number, vcpu: number): void {
    Atomics.and(this.#pages, page, ~(1 << (vcpu + WRITERS_SHIFT)));
  }
  /** A vCPU has no translation of the page any more. */
  unmark(page: number, vcpu: number): void {
    Atomics.and(this.#pages, page, ~(1 << vcpu));
  }
  /** Whether this vCPU has translated code of the page; whether any has. */
  isMarked(page: number, vcpu: number): boolean {
    return (this.#pages[page]! & (1 << vcpu)) !== 0;
  }
  has(page: number): boolean {
    return (this.#pages[page]! & CODE) !== 0;
  }

  /** Calls `take` for each vCPU that may write the page; it has to take that right from the vCPU's TLB, which is stopped. */
  takeWriters(page: number, take: (vcpu: number) => void): void {
    const writers = (Atomics.load(this.#pages, page) >>> WRITERS_SHIFT) & CODE;
    for (let vcpu = 0; vcpu < this.#written.length; vcpu++) if (writers & (1 << vcpu)) take(vcpu);
    Atomics.and(this.#pages, page, CODE);
  }

  /** The bit by which a vCPU says that it may write a page; 0 where there is no other vCPU to be told. */
  writerBit(vcpu: number): number {
    return this.vcpuCount === 1 ? 0 : 1 << (vcpu + WRITERS_SHIFT);
  }

  /** A vCPU wants to write the page without further looks: true when it may. Generated code does the same. */
  allowWrites(page: number, vcpu: number): boolean {
    const writer = this.writerBit(vcpu);
    const word = Atomics.load(this.#pages, page);
    if (word & CODE) return false;
    return (word & writer) === writer || (Atomics.or(this.#pages, page, writer) & CODE) === 0;
  }

  /** A vCPU is about to write a page that may hold code: others are told. True when it must drop code of its own. */
  beforeWrite(page: number, vcpu: number): boolean {
    const writer = 1 << (vcpu + WRITERS_SHIFT);
    const word = Atomics.load(this.#pages, page);
    if ((word & CODE) === 0 && (this.#written.length === 1 || word & writer)) return false;
    const before = Atomics.or(this.#pages, page, writer);
    const others = before & CODE & ~(1 << vcpu);
    if (others) this.#tell(page, others);
    return (before & (1 << vcpu)) !== 0;
  }

  /** A device wrote [gpa, gpa + lengthBytes). */
  deviceWrote(gpa: number, lengthBytes: number): void {
    for (let page = Math.floor(gpa / 4096); page * 4096 < gpa + lengthBytes; page++) {
      // An exchange, not a load: it must not pass the writes before it.
      const code = Atomics.or(this.#pages, page, 0) & CODE;
      if (code) this.#tell(page, code);
    }
  }

  #tell(page: number, vcpus: number): void {
    Atomics.and(this.#pages, page, ~vcpus);
    for (let vcpu = 0; vcpu < this.#written.length; vcpu++) {
      if ((vcpus & (1 << vcpu)) === 0) continue;
      const word = page >>> 5;
      const group = Math.floor(word / WORDS_PER_SUMMARY_BIT);
      Atomics.or(this.#written[vcpu]!, word, 1 << (page & 31));
      Atomics.or(this.#summaries[vcpu]!, group >>> 5, 1 << (group & 31));
      this.#wake(vcpu);
    }
  }

  /** Calls back for each page that this vCPU was told to drop since the last call. */
  takeWritten(vcpu: number, drop: (page: number) => void): void {
    const summary = this.#summaries[vcpu]!;
    for (let index = 0; index < summary.length; index++) {
      if (summary[index] !== 0) eachBit(Atomics.exchange(summary, index, 0), (bit) => this.#takeGroup(vcpu, index * 32 + bit, drop));
    }
  }

  #takeGroup(vcpu: number, group: number, drop: (page: number) => void): void {
    const written = this.#written[vcpu]!;
    const end = Math.min(written.length, (group + 1) * WORDS_PER_SUMMARY_BIT);
    for (let word = group * WORDS_PER_SUMMARY_BIT; word < end; word++) {
      if (written[word] !== 0) eachBit(Atomics.exchange(written, word, 0), (bit) => drop(word * 32 + bit));
    }
  }
}

function eachBit(bits: number, call: (bit: number) => void): void {
  for (let left = bits; left !== 0; left &= left - 1) call(31 - Math.clz32(left & -left));
}
