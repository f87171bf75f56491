/** 256 interrupt vectors, one bit each: the IRR, ISR and TMR of a local APIC (SDM vol. 3A §11.8.4). */
export class VectorSet {
  readonly words = new Int32Array(8);

  add(vector: number): void {
    this.words[vector >> 5]! |= 1 << (vector & 31);
  }

  remove(vector: number): void {
    this.words[vector >> 5]! &= ~(1 << (vector & 31));
  }

  has(vector: number): boolean {
    return (this.words[vector >> 5]! & (1 << (vector & 31))) !== 0;
  }

  /** The highest vector of the set, or -1. */
  highest(): number {
    for (let word = 7; word >= 0; word--) {
      const bits = this.words[word]!;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
    }
    return -1;
  }

  get count(): number {
    let count = 0;
    for (let bits of this.words) for (; bits !== 0; bits &= bits - 1) count++;
    return count;
  }

  /** Whether the sets have a vector in common. */
  meets(other: VectorSet): boolean {
    return this.words.some((bits, word) => (bits & other.words[word]!) !== 0);
  }

  clear(): void {
    this.words.fill(0);
  }

  save(): number[] {
    return Array.from(this.words, (word) => word >>> 0);
  }

  restore(words: readonly number[]): void {
    this.words.set(words.map((word) => word | 0));
  }
}
