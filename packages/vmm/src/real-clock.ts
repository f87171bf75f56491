import type { Clock, ScheduledCall } from '@hanok/machine';

/** Milliseconds on a scale that all threads of this process share. */
export const sharedNowMs = () => performance.timeOrigin + performance.now();

/** Host time since `startMs` (a `sharedNowMs` value). */
export class RealClock implements Clock {
  readonly #startMs: number;
  readonly #wallStartMs: number;

  constructor(startMs: number) {
    this.#startMs = startMs;
    this.#wallStartMs = Date.now() - (sharedNowMs() - startMs);
  }

  nowNs(): number {
    return (sharedNowMs() - this.#startMs) * 1e6;
  }

  wallNs(): number {
    return this.#wallStartMs * 1e6 + this.nowNs();
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
