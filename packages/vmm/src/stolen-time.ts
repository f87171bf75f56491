import { hostNowNs } from './real-clock.ts';

/** How long this thread has been ready to run while the host ran others: what is left of time without waits and work. */
export class StolenTime {
  readonly #startNs = hostNowNs();
  readonly #startCpuNs = cpuNs();
  #waitedNs = 0;

  /** Runs something that may sleep: time in it is not stolen. */
  waiting<T>(wait: () => T): T {
    const beginNs = hostNowNs();
    try {
      return wait();
    } finally {
      this.#waitedNs += hostNowNs() - beginNs;
    }
  }

  /** Nanoseconds so far. */
  read(): number {
    return Math.max(0, hostNowNs() - this.#startNs - this.#waitedNs - (cpuNs() - this.#startCpuNs));
  }
}

function cpuNs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}
