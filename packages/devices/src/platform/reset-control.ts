import type { Device, IoHandler, SavedState } from '@hanok/machine';
import { registerTable } from './register-table.ts';
import { SavedFields } from './saved-fields.ts';

export const KEYBOARD_CONTROLLER_PORT = 0x64;

const RST_CPU = 4;
/** SYS_RST and FULL_RST: which kind of reset RST_CPU makes. All kinds are the same to a virtual board. */
const KEPT = 0x0a;
const KEYBOARD_PULSE_RESET = 0xfe;

/** The ways a guest resets the board: the reset control register at port 0xCF9, and the keyboard controller's pulse. */
export class ResetControl implements Device {
  readonly name = 'reset-control';
  /** One byte at port 0xCF9. It lies inside PCI's address port: pass it to `PciBus` as `resetControl`. */
  readonly resetPort: IoHandler;
  /** One byte at port 0x64 of a board without keyboard controller: always ready for a command, knows only "reset". */
  readonly keyboardPort: IoHandler;
  #register = 0;

  constructor(onReset: () => void) {
    this.resetPort = registerTable([
      {
        name: 'RST_CNT',
        offset: 0,
        widthBytes: 1,
        read: () => this.#register,
        write: (value) => {
          this.#register = value & KEPT;
          if ((value & RST_CPU) !== 0) onReset();
        },
      },
    ]);
    this.keyboardPort = registerTable([
      {
        name: 'status/command',
        offset: 0,
        widthBytes: 1,
        write: (value) => {
          if (value === KEYBOARD_PULSE_RESET) onReset();
        },
      },
    ]);
  }

  reset(): void {
    this.#register = 0;
  }

  pause(): Promise<void> {
    return Promise.resolve();
  }

  resume(): void {}

  stop(): Promise<void> {
    return Promise.resolve();
  }

  save(): SavedState {
    return { version: 1, register: this.#register };
  }

  restore(state: SavedState): void {
    this.#register = new SavedFields(this.name, state, 1).integer('register', 0xff) & KEPT;
  }
}
