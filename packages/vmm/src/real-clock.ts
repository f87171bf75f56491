import type { Clock, ScheduledCall } from '@hanok/machine';

/** Nanoseconds on the host's monotonic scale, which all threads of all processes share. */
export const hostNowNs = () => Number(process.hrtime.bigint());

/** Host time since `startNs` (a `hostNowNs` value). */
export class RealClock implements Clock {
  readonly #startNs: number;
  readonly #wallStartNs: number;

  constructor(startNs: number) {
    this.#startNs = startNs;
    this.#wallStartNs = Date.now() * 1e6 - this.nowNs();
  }

  nowNs(): number {
    return hostNowNs() - this.#startNs;
  }

  wallNs(): number {
    return this.#wallStartNs + this.nowNs();
  }

  schedule(delayNs: number, call: () => void): ScheduledCall {
    if (delayNs <= 0) {
      const immediate = setImmediate(call);
      return { cancel: () => clearImmediate(immediate) };
    }
    const timer = setTimeout(call, delayNs / 1e6);
    return { cancel: () => clearTimeout(timer) };
  }
}
