import type { ConsoleBackend } from '@hanok/machine';
import type { StateReader } from '../../pci/index.ts';
import type { VirtioEnv } from '../device.ts';
import type { Virtqueue } from '../virtqueue.ts';

/** Bytes handed to the backend at once, and in one turn. */
const PIECE_SIZE_BYTES = 32 * 1024;
const TURN_SIZE_BYTES_MAX = 1024 * 1024;

export interface ConsolePortConfig {
  /** The guest sees it as /dev/virtio-ports/NAME. */
  readonly name: string;
  readonly backend: ConsoleBackend;
  /** True for a terminal (/dev/hvcN in Linux), false for a plain byte channel. */
  readonly isConsole: boolean;
  /** A program in the guest opened or closed the port. */
  onGuestOpen?(open: boolean): void;
}

/** Messages that a port still owes the driver. */
export const Owed = { Add: 1, ConsolePort: 2, Name: 4, Resize: 8 } as const;
const OWED_BITS = 15;

/** What a port needs from the device. */
export interface PortHost {
  readonly env: VirtioEnv;
  /** True when the driver accepted VIRTIO_CONSOLE_F_MULTIPORT. */
  multiport(): boolean;
  /** Sends what ports owe, as far as the driver gave buffers. */
  flushControl(): void;
  resized(port: ConsolePort): void;
}

/**
 * One port. Nothing is buffered here: input goes straight into the driver's buffers or is refused, and output stays in
 * the ring while the backend asks to wait.
 */
export class ConsolePort {
  readonly id: number;
  readonly config: ConsolePortConfig;
  columns = 0;
  rows = 0;
  /** Bits of `Owed`. */
  owed = 0;
  /** The driver has set the port up. */
  ready = false;
  /** What the driver was last told about the host's side. */
  toldOpen = false;
  #hostOpen = true;
  #guestOpen = false;
  #refusedInput = false;
  #waitingForDrain = false;
  /** Bytes of the chain at the head of the transmit queue that the backend has. */
  #sentBytes = 0;
  readonly #host: PortHost;
  readonly #receive: Virtqueue;
  readonly #transmit: Virtqueue;

  constructor(id: number, config: ConsolePortConfig, host: PortHost) {
    this.id = id;
    this.config = config;
    this.#host = host;
    const first = id === 0 ? 0 : 2 * id + 2;
    this.#receive = host.env.queues[first]!;
    this.#transmit = host.env.queues[first + 1]!;
    const { backend } = config;
    backend.onInput((bytes) => this.#input(bytes));
    backend.onDrain(() => this.#drained());
    backend.onEnd(() => this.#ended());
    backend.onResize?.((columns, rows) => this.#resize(columns, rows));
  }

  /** The host's side, to be told to the driver when it differs from `toldOpen`. */
  get hostOpen(): boolean {
    return this.#hostOpen;
  }

  setGuestOpen(open: boolean): void {
    if (this.#guestOpen === open) return;
    this.#guestOpen = open;
    this.config.onGuestOpen?.(open);
    this.wake();
  }

  /** Asks the backend for the input it was refused, when the driver can take it. */
  wake(): void {
    if (!this.#refusedInput || !(this.#takesInput() || this.#mayReopen())) return;
    this.#refusedInput = false;
    this.config.backend.ready();
  }

  /** Hands the driver's output to the backend (virtio 1.2 §5.3.6). */
  transmit(): void {
    let leftBytes = TURN_SIZE_BYTES_MAX;
    while (!this.#waitingForDrain) {
      if (leftBytes <= 0) return this.#transmit.yieldTurn();
      const chain = this.#transmit.peek();
      if (!chain) return;
      const { sizeBytes } = chain.readable;
      if (this.#sentBytes < sizeBytes) {
        const piece = new Uint8Array(Math.min(sizeBytes - this.#sentBytes, PIECE_SIZE_BYTES));
        chain.readable.copyTo(this.#sentBytes, piece);
        this.#sentBytes += piece.length;
        leftBytes -= piece.length;
        this.#waitingForDrain = !this.config.backend.write(piece);
      }
      if (this.#sentBytes < sizeBytes) continue;
      this.#sentBytes = 0;
      this.#transmit.take();
      this.#transmit.push(chain, 0);
    }
  }

  reset(): void {
    this.owed = 0;
    this.ready = false;
    this.toldOpen = false;
    this.#sentBytes = 0;
    this.setGuestOpen(false);
  }

  save(): Record<string, unknown> {
    return { owed: this.owed, ready: this.ready, toldOpen: this.toldOpen, guestOpen: this.#guestOpen, sentBytes: this.#sentBytes };
  }

  /** The host's side is as the present backend says; the driver hears of a difference on resume. */
  restore(state: StateReader): void {
    this.owed = state.integer('owed', 0, OWED_BITS);
    this.ready = state.boolean('ready');
    this.toldOpen = state.boolean('toldOpen');
    this.#sentBytes = state.integer('sentBytes', 0, 2 ** 32);
    this.#refusedInput = true;
    this.setGuestOpen(state.boolean('guestOpen'));
  }

  /** Linux throws away input for a port that no program has open, so it is held back until then. */
  #takesInput(): boolean {
    const { env } = this.#host;
    if (!env.active() || !this.#guestOpen) return false;
    return !this.#host.multiport() || (this.ready && this.toldOpen && this.#hostOpen);
  }

  #input(bytes: Uint8Array): number {
    if (this.#mayReopen()) {
      this.#hostOpen = true;
      this.#host.flushControl();
    }
    let taken = 0;
    if (this.#takesInput()) {
      this.#receive.beginTurn();
      while (taken < bytes.length) {
        const chain = this.#receive.pop();
        if (!chain) break;
        const count = chain.writable.copyFrom(0, bytes.subarray(taken));
        this.#receive.push(chain, count);
        taken += count;
      }
      this.#receive.signal();
    }
    if (taken < bytes.length) this.#refusedInput = true;
    return taken;
  }

  /** Input after the end is a new connection; it waits until the driver knows that the old one closed. */
  #mayReopen(): boolean {
    return !this.#hostOpen && !this.toldOpen && this.#host.env.active();
  }

  #ended(): void {
    this.#hostOpen = false;
    this.#host.flushControl();
  }

  #drained(): void {
    this.#waitingForDrain = false;
    this.#host.env.service(this.#transmit);
  }

  #resize(columns: number, rows: number): void {
    this.columns = clampSize(columns);
    this.rows = clampSize(rows);
    this.#host.resized(this);
  }
}

function clampSize(value: number): number {
  return Number.isFinite(value) ? Math.min(Math.max(Math.floor(value), 0), 0xffff) : 0;
}
