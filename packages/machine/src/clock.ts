/** A pending call made by `Clock.schedule`. */
export interface ScheduledCall {
  cancel(): void;
}

/** A machine's time: real, paused, or driven by a test. Devices read no other clock. */
export interface Clock {
  /** Nanoseconds since the machine was created. */
  nowNs(): number;
  /** Nanoseconds since 1970-01-01 UTC, as the guest's battery-backed clock shows them. */
  wallNs(): number;
  /** Calls `call` once, `delayNs` from now or as soon after as the host allows. */
  schedule(delayNs: number, call: () => void): ScheduledCall;
}

/** Time that moves only when a test says so. */
export class FakeClock implements Clock {
  #nowNs = 0;
  readonly #startWallNs: number;
  #calls: { atNs: number; call: () => void }[] = [];

  constructor(startWallNs = 0) {
    this.#startWallNs = startWallNs;
  }

  nowNs(): number {
    return this.#nowNs;
  }

  wallNs(): number {
    return this.#startWallNs + this.#nowNs;
  }

  schedule(delayNs: number, call: () => void): ScheduledCall {
    const entry = { atNs: this.#nowNs + Math.max(0, delayNs), call };
    this.#calls.push(entry);
    return { cancel: () => void (this.#calls = this.#calls.filter((other) => other !== entry)) };
  }

  /** Moves time forward, making the calls that fall due in order. */
  advance(deltaNs: number): void {
    const endNs = this.#nowNs + deltaNs;
    for (;;) {
      const due = this.#calls.filter((entry) => entry.atNs <= endNs).sort((a, b) => a.atNs - b.atNs)[0];
      if (!due) break;
      this.#calls = this.#calls.filter((entry) => entry !== due);
      this.#nowNs = Math.max(this.#nowNs, due.atNs);
      due.call();
    }
    this.#nowNs = endNs;
  }
}
