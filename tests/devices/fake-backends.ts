import type { BlockBackend, ConsoleBackend, EntropySource } from '@hanok/machine';

/** A disk in memory whose operations wait while `held`, and reject while `broken`. */
export class FakeDisk implements BlockBackend {
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly calls: string[] = [];
  /** Calls that no device may make, because they leave the disk. */
  readonly violations: string[] = [];
  broken = false;
  closed = false;
  #held = false;
  #waiters: (() => void)[] = [];

  constructor(sizeBytes: number, readOnly = false) {
    this.bytes = new Uint8Array(sizeBytes);
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
  }

  hold(): void {
    this.#held = true;
  }

  /** Lets the operations that wait go on, the last one first. */
  release(): void {
    this.#held = false;
    for (const wake of this.#waiters.splice(0).reverse()) wake();
  }

  async read(offsetBytes: number, target: Uint8Array): Promise<void> {
    await this.#enter(`read ${offsetBytes} ${target.length}`, offsetBytes, target.length);
    target.set(this.bytes.subarray(offsetBytes, offsetBytes + target.length));
  }

  async write(offsetBytes: number, source: Uint8Array): Promise<void> {
    await this.#enter(`write ${offsetBytes} ${source.length}`, offsetBytes, source.length);
    this.bytes.set(source, offsetBytes);
  }

  async flush(): Promise<void> {
    await this.#enter('flush');
  }

  async discard(offsetBytes: number, lengthBytes: number): Promise<void> {
    await this.#enter(`discard ${offsetBytes} ${lengthBytes}`, offsetBytes, lengthBytes);
    this.bytes.fill(0, offsetBytes, offsetBytes + lengthBytes);
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  async #enter(call: string, offsetBytes = 0, lengthBytes = 0): Promise<void> {
    this.calls.push(call);
    const inside = Number.isSafeInteger(offsetBytes) && offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes + lengthBytes <= this.sizeBytes;
    if (!inside) this.violations.push(call);
    if (this.#held) await new Promise<void>((resolve) => this.#waiters.push(resolve));
    if (this.broken) throw new Error('disk.img: the medium is gone');
  }
}

/** The outside of a console port, driven by a test. */
export class FakeConsole implements ConsoleBackend {
  output = '';
  /** Input that waits until the device can take it. */
  pending = new Uint8Array(0);
  accepting = true;
  writes = 0;
  #input: (bytes: Uint8Array) => number = () => 0;
  #drain: () => void = () => {};
  #end: () => void = () => {};
  #resize: (columns: number, rows: number) => void = () => {};
  #endWanted = false;

  write(bytes: Uint8Array): boolean {
    this.writes += 1;
    this.output += new TextDecoder().decode(bytes);
    return this.accepting;
  }

  onInput(listener: (bytes: Uint8Array) => number): void {
    this.#input = listener;
  }

  ready(): void {
    this.#offer();
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

  send(text: string): void {
    this.pending = Uint8Array.from([...this.pending, ...new TextEncoder().encode(text)]);
    this.#offer();
  }

  end(): void {
    this.#endWanted = true;
    this.#offer();
  }

  drain(): void {
    this.accepting = true;
    this.#drain();
  }

  resize(columns: number, rows: number): void {
    this.#resize(columns, rows);
  }

  #offer(): void {
    if (this.pending.length > 0) this.pending = this.pending.slice(this.#input(this.pending));
    if (this.pending.length > 0 || !this.#endWanted) return;
    this.#endWanted = false;
    this.#end();
  }
}

/** 1, 2, 3, … so that a test can tell what came. */
export class CountingEntropy implements EntropySource {
  #next = 0;

  fill(target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.#next = (this.#next + 1) & 0xff;
  }
}
