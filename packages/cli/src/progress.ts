import type { OutputStream } from './io.ts';
import type { ImageProgress } from './services.ts';

const BAR_LENGTH = 24;

/** Shows how far a long step is: one line that changes on a terminal, else one line a step. */
export class ProgressLine implements Disposable {
  readonly #output: OutputStream;
  readonly #labels = new Set<string>();
  #shown = '';

  constructor(output: OutputStream) {
    this.#output = output;
  }

  update({ label, done, total, detail }: ImageProgress): void {
    if (!this.#output.isTTY) {
      // Steps may run side by side and take turns here.
      if (!this.#labels.has(label)) this.#output.write(`hanok: ${label}\n`);
      this.#labels.add(label);
      return;
    }
    const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : undefined;
    const filled = Math.round((share ?? 0) * BAR_LENGTH);
    const bar = share === undefined ? '' : ` [${'#'.repeat(filled)}${'.'.repeat(BAR_LENGTH - filled)}] ${Math.floor(share * 100)}%`;
    const line = fit(`hanok: ${label}${detail === undefined ? '' : ` ${detail}`}`, (this.#output.columns ?? 80) - 1 - bar.length) + bar;
    if (line === this.#shown) return;
    this.#output.write(`\r${line}\x1b[K`);
    this.#shown = line;
  }

  /** Writes a line of its own, above the bar. */
  notice(text: string): void {
    this.#clear();
    this.#output.write(`hanok: ${text}\n`);
  }

  [Symbol.dispose](): void {
    this.#clear();
  }

  #clear(): void {
    if (this.#shown) this.#output.write('\r\x1b[K');
    this.#shown = '';
  }
}

function fit(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, Math.max(0, lengthMax - 1))}…`;
}
