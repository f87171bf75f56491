/** What a person may do with the escape key. */
export interface EscapeActions {
  quit(): void;
  pressPowerButton(): void;
  showHelp(): void;
}

/** Ctrl-] */
const ESCAPE = 0x1d;

export const ESCAPE_NOTICE = 'the keyboard belongs to the machine; Ctrl-] then q powers it off, Ctrl-] then ? shows more keys';

export const ESCAPE_HELP = `Ctrl-] then
  q       power the machine off at once
  p       press its power button, so that the guest shuts down
  ?       show these keys
  Ctrl-]  send Ctrl-] to the machine
`;

/** Picks the escape key and the key after it out of what is typed; the rest is the guest's. */
export class EscapeKeys {
  readonly #actions: EscapeActions;
  #escaped = false;

  constructor(actions: EscapeActions) {
    this.#actions = actions;
  }

  /** What of `bytes` the guest gets. */
  filter(bytes: Uint8Array): Uint8Array {
    if (!this.#escaped && !bytes.includes(ESCAPE)) return bytes;
    const kept: number[] = [];
    for (const byte of bytes) {
      if (!this.#escaped) {
        if (byte === ESCAPE) this.#escaped = true;
        else kept.push(byte);
      } else {
        this.#escaped = false;
        if (byte === ESCAPE) kept.push(byte);
        else this.#act(String.fromCharCode(byte));
      }
    }
    return Uint8Array.from(kept);
  }

  #act(key: string): void {
    if (key === 'q' || key === 'Q') this.#actions.quit();
    else if (key === 'p' || key === 'P') this.#actions.pressPowerButton();
    else this.#actions.showHelp();
  }
}
