import type { PostedInterrupts } from '@hanok/machine';
import { VectorSet } from './vector-set.ts';

/**
 * Which interrupt a local APIC delivers next (SDM vol. 3A §11.8): requests, interrupts in service, and the priorities
 * that hold requests back. The answer is kept, because a vCPU asks far more often than it changes.
 */
export class InterruptPriority {
  readonly requests = new VectorSet();
  readonly inService = new VectorSet();
  /** Trigger modes: a vector in the set is level-triggered. */
  readonly levels = new VectorSet();
  /** The vector to deliver now, or -1. */
  pending = -1;
  #taskPriority = 0;
  #enabled = true;
  #serving = -1;

  get taskPriority(): number {
    return this.#taskPriority;
  }

  setTaskPriority(value: number): void {
    this.#taskPriority = value & 0xff;
    this.update();
  }

  /** A disabled APIC delivers nothing. */
  setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
    this.update();
  }

  /** PPR: the task priority, or the class of what is in service when that is higher. */
  get processorPriority(): number {
    const service = this.#serving < 0 ? 0 : this.#serving & 0xf0;
    return this.#taskPriority >> 4 >= service >> 4 ? this.#taskPriority : service;
  }

  request(vector: number, levelTriggered: boolean): void {
    this.requests.add(vector);
    if (levelTriggered) this.levels.add(vector);
    else this.levels.remove(vector);
    this.update();
  }

  /** Takes what other threads posted; `accepting` false drops it. */
  collect(posted: PostedInterrupts, accepting: boolean): void {
    for (let word = 0; word < 8; word++) {
      const { requests, levels } = posted.take(word);
      if (requests === 0 || !accepting) continue;
      this.requests.words[word]! |= requests;
      this.levels.words[word] = (this.levels.words[word]! & ~requests) | (levels & requests);
    }
    this.update();
  }

  acknowledge(vector: number): void {
    this.requests.remove(vector);
    this.inService.add(vector);
    this.update();
  }

  /** Ends the interrupt in service with the highest priority; gives its vector, or -1. */
  end(): number {
    const vector = this.#serving;
    if (vector >= 0) this.inService.remove(vector);
    this.update();
    return vector;
  }

  clear(): void {
    for (const set of [this.requests, this.inService, this.levels]) set.clear();
    this.setTaskPriority(0);
  }

  /** To be called when the sets were changed from outside. */
  update(): void {
    this.#serving = this.inService.highest();
    const requested = this.requests.highest();
    this.pending = this.#enabled && requested >> 4 > this.processorPriority >> 4 ? requested : -1;
  }
}
