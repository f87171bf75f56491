import type { Clock, ScheduledCall } from '@hanok/machine';
import type { Virtqueue } from './virtqueue.ts';

/** Decides when queues run: at once, on a later turn, or not while paused. */
export class Work {
  readonly #clock: Clock;
  readonly #run: (queue: Virtqueue) => void;
  readonly #deferred = new Set<Virtqueue>();
  #call: ScheduledCall | undefined;
  #paused = false;

  constructor(clock: Clock, run: (queue: Virtqueue) => void) {
    this.#clock = clock;
    this.#run = run;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Runs the queue now; while paused the request is dropped, because `resume` looks at all queues. */
  request(queue: Virtqueue): void {
    if (!this.#paused) this.#run(queue);
  }

  /** Runs the queue after other work of this thread had its turn. */
  defer(queue: Virtqueue): void {
    this.#deferred.add(queue);
    this.#call ??= this.#clock.schedule(0, () => this.#runDeferred());
  }

  pause(): void {
    this.#paused = true;
    this.clear();
  }

  resume(): void {
    this.#paused = false;
  }

  clear(): void {
    this.#call?.cancel();
    this.#call = undefined;
    this.#deferred.clear();
  }

  #runDeferred(): void {
    this.#call = undefined;
    const queues = [...this.#deferred];
    this.#deferred.clear();
    for (const queue of queues) this.#run(queue);
  }
}
