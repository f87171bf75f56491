import type { ConsoleBackend } from '@hanok/machine';
import type { Readable, Writable } from 'node:stream';

/** What a machine's console or port is joined to. */
export interface StreamConsoleOptions {
  readonly input?: Readable;
  readonly output?: Writable;
  /** Sees all input first, at once even where the guest takes none; what it returns goes to the guest. */
  readonly inputFilter?: (bytes: Uint8Array) => Uint8Array;
  /** Sent to the guest when the input ends, in place of an end: a terminal line has none. */
  readonly endOfInput?: Uint8Array;
  /** Input waits for the guest's first output: Linux drops what reaches a terminal line before a program holds it open. */
  readonly waitsForOutput?: boolean;
  /** Nobody reads the output any more. */
  readonly onOutputGone?: () => void;
  readonly watchSize?: (listener: (columns: number, rows: number) => void) => void;
}

/** Where a filter reads ahead of the guest, this much waits for it; more is lost, as keys typed at a machine that hangs are. */
const READ_AHEAD_MAX_BYTES = 64 * 1024;

/** Joins a machine's console to Node streams, with the back pressure of each side carried to the other. */
export class StreamConsole implements ConsoleBackend {
  readonly onResize?: (listener: (columns: number, rows: number) => void) => void;
  readonly #options: StreamConsoleOptions;
  #waiting: Uint8Array[] = [];
  #inputHeld: boolean;
  #inputOver = false;
  #endTold = false;
  #pumping = false;
  #outputGone = false;
  #take: ((bytes: Uint8Array) => number) | undefined;
  #drain: (() => void) | undefined;
  #end: (() => void) | undefined;

  constructor(options: StreamConsoleOptions) {
    this.#options = options;
    this.#inputHeld = options.waitsForOutput ?? false;
    if (options.watchSize) this.onResize = options.watchSize;
    const { input, output } = options;
    if (input) {
      const over = () => this.#finishInput();
      input.on('readable', () => this.#pump()).on('end', over).on('close', over).on('error', over);
      if (input.readableEnded || input.destroyed) queueMicrotask(over);
    } else {
      // A port without a source stays open: to the guest an end is the end of both directions.
      this.#inputOver = this.#endTold = true;
    }
    output?.on('drain', () => this.#drain?.());
    output?.on('error', () => this.#loseOutput());
    output?.on('close', () => this.#loseOutput());
  }

  /** Always takes the bytes; false asks for a pause. */
  write(bytes: Uint8Array): boolean {
    if (this.#inputHeld) {
      this.#inputHeld = false;
      queueMicrotask(() => this.#pump());
    }
    const { output } = this.#options;
    if (!output || this.#outputGone) return true;
    // A copy, because the bytes may be the guest's memory, which goes on changing.
    return output.write(Buffer.from(bytes));
  }

  onInput(listener: (bytes: Uint8Array) => number): void {
    this.#take = listener;
    this.#pump();
  }

  ready(): void {
    this.#pump();
  }

  onDrain(listener: () => void): void {
    this.#drain = listener;
  }

  onEnd(listener: () => void): void {
    this.#end = listener;
    this.#pump();
  }

  #finishInput(): void {
    if (this.#inputOver) return;
    this.#inputOver = true;
    if (this.#options.endOfInput) {
      this.#waiting.push(this.#options.endOfInput);
      this.#endTold = true;
    }
    this.#pump();
  }

  #loseOutput(): void {
    if (this.#outputGone) return;
    this.#outputGone = true;
    this.#options.onOutputGone?.();
    this.#drain?.();
  }

  /** Moves input to the guest until it takes no more or none is left. */
  #pump(): void {
    // The guest's side may say that it is ready in the middle of taking bytes.
    if (this.#pumping || this.#inputHeld) return;
    this.#pumping = true;
    const allTaken = this.#feed();
    this.#pumping = false;
    if (allTaken && this.#inputOver && !this.#endTold && this.#end) {
      this.#endTold = true;
      this.#end();
    }
  }

  #feed(): boolean {
    for (;;) {
      this.#fill();
      const bytes = this.#waiting.shift();
      if (!bytes) return true;
      const takenBytes = this.#take?.(bytes) ?? 0;
      if (takenBytes < bytes.length) {
        this.#waiting.unshift(bytes.subarray(takenBytes));
        return false;
      }
    }
  }

  /** Reads the next input once the last is taken; where there is a filter, all input, since any of it may be meant for the filter. */
  #fill(): void {
    const { input, inputFilter } = this.#options;
    while (input && (inputFilter || this.#waiting.length === 0)) {
      const chunk: Uint8Array | null = input.read();
      if (chunk === null) return;
      const bytes = inputFilter ? inputFilter(chunk) : chunk;
      const waitingBytes = this.#waiting.reduce((sum, one) => sum + one.length, 0);
      if (bytes.length > 0 && waitingBytes < READ_AHEAD_MAX_BYTES) this.#waiting.push(bytes);
    }
  }
}
