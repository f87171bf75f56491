/** Many shared holders or one exclusive one, served in the order of asking. */
export class SharedLock {
  #sharedCount = 0;
  #exclusive = false;
  readonly #waiting: { exclusive: boolean; start: () => void }[] = [];

  async shared<T>(work: () => Promise<T>): Promise<T> {
    return await this.#hold(false, work);
  }

  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    return await this.#hold(true, work);
  }

  async #hold<T>(exclusive: boolean, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || !this.#isFree(exclusive)) {
      await new Promise<void>((start) => this.#waiting.push({ exclusive, start }));
    } else {
      this.#take(exclusive);
    }
    try {
      return await work();
    } finally {
      if (exclusive) this.#exclusive = false;
      else this.#sharedCount--;
      this.#startWaiting();
    }
  }

  #isFree(exclusive: boolean): boolean {
    return !this.#exclusive && (!exclusive || this.#sharedCount === 0);
  }

  #take(exclusive: boolean): void {
    if (exclusive) this.#exclusive = true;
    else this.#sharedCount++;
  }

  #startWaiting(): void {
    for (let next = this.#waiting[0]; next && this.#isFree(next.exclusive); next = this.#waiting[0]) {
      this.#waiting.shift();
      // Taken here, not when the waiter wakes: somebody else could come in between.
      this.#take(next.exclusive);
      next.start();
    }
  }
}
