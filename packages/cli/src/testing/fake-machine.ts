import { setImmediate } from 'node:timers/promises';
import type { ConsoleBackend } from '@hanok/machine';
import type { Machine, MachineConfig, MachineEnd, MachineProfile } from '@hanok/vmm';
import type { Services } from '../services.ts';

/** What a test's guest sees of its machine. */
export interface FakeGuest {
  readonly config: MachineConfig;
  readonly powerButton: Promise<void>;
  /** Sends bytes out of a port and waits while the outside asks for a pause. */
  send(port: string, bytes: string | Uint8Array): Promise<void>;
  /** Bytes that come in through a port; ends where the outside says so. */
  receive(port: string): AsyncIterable<Uint8Array>;
  sizes(port: string): readonly string[];
}

/** A machine whose guest is a function of the test: what it returns is how the machine ends. */
class FakeMachine implements Machine {
  readonly ended: Promise<MachineEnd>;
  readonly #end = Promise.withResolvers<MachineEnd>();
  readonly #button = Promise.withResolvers<void>();
  #over = false;
  readonly #config: MachineConfig;
  readonly #guest: (guest: FakeGuest) => Promise<MachineEnd>;

  constructor(config: MachineConfig, guest: (guest: FakeGuest) => Promise<MachineEnd>) {
    this.#config = config;
    this.#guest = guest;
    this.ended = this.#end.promise;
  }

  start(): void {
    const ports = new Map<string, FakePort>();
    for (const { name, backend } of this.#config.ports) ports.set(name, new FakePort(backend));
    if (this.#config.serial) ports.set('serial', new FakePort(this.#config.serial));
    const port = (name: string): FakePort => {
      const found = ports.get(name);
      if (!found) throw new Error(`the machine has no port ${name}`);
      return found;
    };
    const guest: FakeGuest = {
      config: this.#config,
      powerButton: this.#button.promise,
      send: async (name, bytes) => {
        await port(name).send(typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
        // Nothing of a machine that was stopped goes on.
        if (this.#over) await new Promise(() => {});
      },
      receive: (name) => port(name).receive(),
      sizes: (name) => port(name).sizes,
    };
    // As the threads of a machine do, keeps the process until the machine ends.
    const alive = setInterval(() => {}, 60_000);
    this.#guest(guest).then(this.#end.resolve, this.#end.reject);
    const over = () => {
      this.#over = true;
      clearInterval(alive);
    };
    this.ended.then(over, over);
  }

  async stop(): Promise<void> {
    this.#end.resolve({ reason: 'stopped' });
    await this.ended;
  }

  pressPowerButton(): void {
    this.#button.resolve();
  }

  exitCounts(): { kind: string; count: number }[] {
    return [
      { kind: 'mmio', count: 3 },
      { kind: 'port-io', count: 500 },
    ];
  }

  profile(): MachineProfile | undefined {
    if (!this.#config.profile) return undefined;
    const code = { address: 0xffffffff81000123n, space: 'kernel', name: 'start_kernel', offset: 0x123 } as const;
    return {
      durationNs: 3e9, sampleCount: 3, hasSymbols: true, compiledCode: { modules: 1, regions: 2, instructions: 30, liveRegions: 2 },
      places: [{ activity: 'compiled code', ns: 2e9, code }, { activity: 'halted', ns: 1e9 }],
      vcpus: [{ places: [0, 1], weightsNs: [2e9, 1e9] }],
    };
  }

  instructionCount(): number {
    return 2_000_000;
  }
}

const RECEIVE_MAX_BYTES = 5;

class FakePort {
  readonly sizes: string[] = [];
  readonly #backend: ConsoleBackend;
  readonly #received: Uint8Array[] = [];
  #wake = Promise.withResolvers<void>();
  #drained = Promise.withResolvers<void>();
  #over = false;

  constructor(backend: ConsoleBackend) {
    this.#backend = backend;
    backend.onDrain(() => {
      this.#drained.resolve();
      this.#drained = Promise.withResolvers();
    });
    backend.onEnd(() => {
      this.#over = true;
      this.#wake.resolve();
    });
    backend.onResize?.((columns, rows) => this.sizes.push(`${columns}x${rows}`));
    // Takes a few bytes at a time, as a device does whose driver gives it small buffers.
    backend.onInput((bytes) => {
      if (this.#received.length > 0) return 0;
      this.#received.push(Uint8Array.from(bytes.subarray(0, RECEIVE_MAX_BYTES)));
      this.#wake.resolve();
      return Math.min(bytes.length, RECEIVE_MAX_BYTES);
    });
  }

  async send(bytes: Uint8Array): Promise<void> {
    const drained = this.#drained.promise;
    if (!this.#backend.write(bytes)) await drained;
    // A guest that only writes must not keep the process from everything else.
    await setImmediate();
  }

  async *receive(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const bytes = this.#received.shift();
      if (bytes) {
        yield bytes;
        this.#backend.ready();
      } else if (this.#over) {
        return;
      } else {
        this.#wake = Promise.withResolvers();
        await this.#wake.promise;
      }
    }
  }
}

/** Services whose machines are run by `guest`. */
export function fakeServices(guest: (guest: FakeGuest) => Promise<MachineEnd>, overrides: Partial<Services> = {}): Services {
  return {
    prepareMachine: () => {},
    createMachine: async (config) => new FakeMachine(config, guest),
    listImages: async () => [{ name: 'tiny', summary: 'a small Linux', cached: true, sizeBytes: 12 * 2 ** 20 }],
    buildImage: async () => ({ kernel: import.meta.filename, initrd: import.meta.filename, commandLine: 'console=ttyS0' }),
    commandArchive: async (script) => Buffer.from(script),
    openRawDisk: async () => emptyDisk(),
    openOverlayDisk: async () => emptyDisk(),
    ...overrides,
  };
}

function emptyDisk() {
  return {
    sizeBytes: 0,
    readOnly: true,
    read: async () => {},
    write: async () => {},
    flush: async () => {},
    discard: async () => {},
    close: async () => {},
  };
}
