import type { BlockBackend, ConsoleBackend, EntropySource } from '@hanok/machine';
import { sha256Hex } from '../cache.ts';
import { openRawDisk } from '../disk/raw-disk.ts';
import { ImageError } from '../image-error.ts';

/** What a configuration asks of a machine; `createMachine` of the package vmm makes such. */
export interface ConfigurationMachine {
  start(): void;
  stop(): Promise<void>;
  readonly ended: Promise<{ readonly reason: string; readonly detail?: string }>;
}

export type MachineMaker = (config: {
  readonly memoryBytes: number;
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
  readonly serial: ConsoleBackend;
  readonly ports: readonly { readonly name: string; readonly backend: ConsoleBackend; readonly isConsole: boolean }[];
  readonly disks: readonly BlockBackend[];
  readonly entropy: EntropySource;
  readonly onReset: 'end';
}) => Promise<ConfigurationMachine>;

export interface ConfigureOptions {
  readonly createMachine: MachineMaker;
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
  readonly diskPath: string;
  readonly signal?: AbortSignal | undefined;
  /** Told after each package that was configured. */
  readonly onConfigured: (count: number) => void;
  readonly onStep: (step: string) => void;
}

export interface Configured {
  /** The initramfs that the system made for itself. */
  readonly initrd: Uint8Array;
  /** What was printed on the way. */
  readonly log: string;
}

const MEMORY_BYTES = 1 << 30;
const LOG_LINES_SHOWN = 6;

/** Boots a machine whose only work is to configure the system on the disk, and waits for its end. */
export async function configureSystem(options: ConfigureOptions): Promise<Configured> {
  const { signal } = options;
  signal?.throwIfAborted();
  const report = new Report(options);
  const console = new Collector();
  const initrd = new Collector();
  const disk = await openRawDisk(options.diskPath);
  try {
    const machine = await options.createMachine({
      memoryBytes: MEMORY_BYTES,
      kernel: options.kernel,
      initrd: options.initrd,
      commandLine: options.commandLine,
      serial: console,
      ports: [
        { name: 'hanok.events', backend: report, isConsole: false },
        { name: 'hanok.initrd', backend: initrd, isConsole: false },
      ],
      disks: [withoutFlush(disk)],
      entropy: HOST_ENTROPY,
      onReset: 'end',
    });
    const stop = (): void => void machine.stop();
    signal?.addEventListener('abort', stop, { once: true });
    machine.start();
    const end = await machine.ended.finally(() => signal?.removeEventListener('abort', stop));
    signal?.throwIfAborted();
    const log = console.bytes().toString('utf8');
    if (report.failure !== undefined) throw failed(report.failure, log);
    if (!report.finished) throw failed(end.detail ?? `the machine ended early (${end.reason})`, log);
    await disk.flush();
    return { initrd: report.check(initrd.bytes()), log };
  } finally {
    await disk.close();
  }
}

function failed(why: string, log: string): ImageError {
  const plain = log.replaceAll(/\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]/g, '');
  const last = plain.split('\n').filter((line) => line.trim() !== '').slice(-LOG_LINES_SHOWN);
  return new ImageError(`the Debian system could not be configured: ${why}; its last messages: ${last.join(' | ') || 'none'}`);
}

/** Nothing of the disk counts before all is done. */
function withoutFlush(disk: BlockBackend): BlockBackend {
  return {
    sizeBytes: disk.sizeBytes,
    readOnly: disk.readOnly,
    read: (offsetBytes, target) => disk.read(offsetBytes, target),
    write: (offsetBytes, source) => disk.write(offsetBytes, source),
    discard: (offsetBytes, lengthBytes) => disk.discard(offsetBytes, lengthBytes),
    flush: async () => {},
    close: async () => {},
  };
}

/** More than an initramfs or what is printed can be; a guest may write for ever. */
const COLLECTED_MAX_BYTES = 256 << 20;

/** A port that only listens. */
class Collector implements ConsoleBackend {
  readonly #chunks: Uint8Array[] = [];
  #sizeBytes = 0;

  write(bytes: Uint8Array): boolean {
    if (this.#sizeBytes + bytes.length <= COLLECTED_MAX_BYTES) {
      // A copy, because the bytes may be the guest's memory, which goes on changing.
      this.#chunks.push(Uint8Array.from(bytes));
      this.#sizeBytes += bytes.length;
    }
    return true;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  onInput(): void {}
  ready(): void {}
  onDrain(): void {}
  onEnd(): void {}
}

const LINE_MAX_LENGTH = 4096;

/** The lines of the port hanok.events: those of dpkg (dpkg(1), --status-fd) and those of the scripts in `guest/`. */
class Report extends Collector {
  failure: string | undefined;
  finished = false;
  readonly #options: ConfigureOptions;
  readonly #configured = new Set<string>();
  #initrd: { sizeBytes: number; sha256: string } | undefined;
  #text = '';

  constructor(options: ConfigureOptions) {
    super();
    this.#options = options;
  }

  override write(bytes: Uint8Array): boolean {
    const lines = (this.#text + Buffer.from(Uint8Array.from(bytes)).toString('latin1')).split('\n');
    this.#text = lines.pop()!.slice(0, LINE_MAX_LENGTH);
    for (const line of lines) this.#take(line.trim());
    return true;
  }

  /** The initramfs, when it is what the guest said that it sends. */
  check(bytes: Uint8Array): Uint8Array {
    if (!this.#initrd || bytes.length !== this.#initrd.sizeBytes || sha256Hex(bytes) !== this.#initrd.sha256) {
      throw new ImageError(`the Debian system could not be configured: its initramfs did not arrive whole (${bytes.length} of ${this.#initrd?.sizeBytes ?? 'unknown'} bytes); try again`);
    }
    return bytes;
  }

  #take(line: string): void {
    const installed = /^status: (\S+): installed$/.exec(line)?.[1];
    const initrd = /^initrd (\d{1,10}) ([0-9a-f]{64})$/.exec(line);
    if (installed !== undefined) {
      this.#configured.add(installed);
      this.#options.onConfigured(this.#configured.size);
    } else if (initrd) {
      this.#initrd = { sizeBytes: Number(initrd[1]), sha256: initrd[2]! };
    } else if (line.startsWith('step ')) {
      this.#options.onStep(line.slice('step '.length));
    } else if (line.startsWith('failed ')) {
      this.failure ??= line.slice('failed '.length);
    } else if (line === 'finished') {
      this.finished = true;
    }
  }
}

const HOST_ENTROPY: EntropySource = {
  fill(target) {
    // The host's generator takes no shared memory and at most 64 KiB a call.
    for (let start = 0; start < target.length; start += 65536) {
      target.set(crypto.getRandomValues(new Uint8Array(Math.min(65536, target.length - start))), start);
    }
  },
};
