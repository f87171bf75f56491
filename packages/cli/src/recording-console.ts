import type { ConsoleBackend } from '@hanok/machine';

/** A console or port that only listens: what the guest writes goes to `receive`, and nothing ever comes back. */
export class RecordingConsole implements ConsoleBackend {
  readonly #receive: (bytes: Uint8Array) => void;

  constructor(receive: (bytes: Uint8Array) => void) {
    this.#receive = receive;
  }

  write(bytes: Uint8Array): boolean {
    // A copy, because the bytes may be the guest's memory, which goes on changing.
    this.#receive(Uint8Array.from(bytes));
    return true;
  }

  onInput(): void {}
  ready(): void {}
  onDrain(): void {}
  // No end either: to the guest an end is the end of both directions.
  onEnd(): void {}
}

const TAIL_MAX_BYTES = 8 * 1024;

/** The last bytes of a console, for telling why a machine ended. */
export class ConsoleTail {
  #bytes: Uint8Array = new Uint8Array(0);

  push(bytes: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]).subarray(-TAIL_MAX_BYTES);
  }

  /** The last lines that say something, without what would move a terminal's cursor or change its colours. */
  lines(countMax: number): string[] {
    const text = Buffer.from(this.#bytes).toString('utf8');
    const plain = text.replaceAll(/\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]/g, '');
    return plain
      .split('\n')
      .filter((line) => line.trim() !== '')
      .slice(-countMax);
  }
}
