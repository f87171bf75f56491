import type { InputStream, Io, OutputStream } from './io.ts';

/**
 * Undoes what a guest may have left on: another screen, hidden cursor, colours, mouse reports, bracketed paste, application keys.
 * Each is without effect where it was not on (xterm control sequences).
 */
const SCREEN_RESET = '\x1b[?1047l\x1b[?25h\x1b[0m\x1b(B\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[?7h';

/** This process's terminal while it is a machine's: raw, and put back on every way out. */
export class RawTerminal implements Disposable {
  readonly #input: InputStream;
  readonly #output: OutputStream;
  #raw = false;
  #sizeListeners: (() => void)[] = [];
  readonly #restore = () => this[Symbol.dispose]();
  /** After a stop and `fg` the shell has set the modes it likes. */
  readonly #enterAgain = () => {
    if (!this.#raw) return;
    this.#input.setRawMode?.(false);
    this.#input.setRawMode?.(true);
  };

  constructor(io: Pick<Io, 'stdin' | 'stdout'>) {
    this.#input = io.stdin;
    this.#output = io.stdout;
    this.#input.setRawMode?.(true);
    this.#raw = true;
    // Runs on process.exit and after an uncaught exception too.
    process.on('exit', this.#restore);
    process.on('SIGCONT', this.#enterAgain);
  }

  /** Calls `listener` with the size now, where it is known, and whenever it changes. */
  watchSize(listener: (columns: number, rows: number) => void): void {
    const tell = () => {
      const { columns, rows } = this.#output;
      if (columns && rows) listener(columns, rows);
    };
    this.#output.on('resize', tell);
    this.#sizeListeners.push(tell);
    tell();
  }

  [Symbol.dispose](): void {
    if (!this.#raw) return;
    this.#raw = false;
    process.off('exit', this.#restore);
    process.off('SIGCONT', this.#enterAgain);
    for (const tell of this.#sizeListeners) this.#output.off('resize', tell);
    if (this.#output.isTTY && this.#output.writable) this.#output.write(SCREEN_RESET);
    this.#input.setRawMode?.(false);
  }
}
