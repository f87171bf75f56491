import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { InterpreterImage, InterpreterTables } from '@hanok/emulator';
import { dropOldFiles, markUsed } from './old-files.ts';
import { replaceFile } from './replace-file.ts';

/** The packages that the interpreter is made of. */
const SOURCES = ['@hanok/emulator', '@hanok/x86', '@hanok/wasm'];
const DIGEST_BYTES = 32;

interface Header extends Omit<InterpreterTables, 'handlers'> {
  /** Entries of one row's table. */
  readonly rowLength: number;
  readonly tableBytes: number;
}

/**
 * The interpreter as a file, so that it is built once for each version of its sources: a SHA-256 of the rest, the length
 * of a header in JSON, the header, the rows' tables and the module. A file that cannot be read or is damaged is none.
 */
export class InterpreterFile {
  readonly #folder: string;
  readonly #name: string;

  /** `recordsActivity` is that of `buildInterpreter`. */
  constructor(folder: string, recordsActivity: boolean) {
    this.#folder = join(folder, 'interpreter');
    this.#name = createHash('sha256').update(JSON.stringify([recordsActivity, sourcesStamp()])).digest('hex');
  }

  /** Beside it: the machine code of its module. */
  get codePath(): string {
    return join(this.#folder, `${this.#name}.code`);
  }

  /** And what decoding for it learned. */
  get shapesPath(): string {
    return join(this.#folder, `${this.#name}.shapes`);
  }

  read(): InterpreterImage | undefined {
    try {
      const path = join(this.#folder, this.#name);
      const image = decode(readFileSync(path));
      if (image) markUsed(path);
      return image;
    } catch {
      return undefined;
    }
  }

  write(image: InterpreterImage): void {
    try {
      mkdirSync(this.#folder, { recursive: true });
      dropOldFiles(this.#folder);
      replaceFile(join(this.#folder, this.#name), encode(image));
    } catch {
      // A cache that cannot be written costs the time to build it again, nothing else.
    }
  }
}

let stamp: unknown[] | undefined;

/** Names, sizes and times of all source files: another version of them has another stamp. They are looked at once. */
export const sourcesStamp = (): unknown[] => (stamp ??= SOURCES.map(stampOf));

function stampOf(name: string): unknown {
  const folder = fileURLToPath(new URL('.', import.meta.resolve(name)));
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name: file }) => {
      const path = join(parentPath, file);
      const { size, mtimeMs } = statSync(path);
      return [path, size, mtimeMs];
    });
}

function encode({ bytes, handlers, ...tables }: InterpreterImage): Uint8Array {
  const rowLength = handlers[0]?.length ?? 0;
  const table = new Uint16Array(handlers.length * rowLength);
  handlers.forEach((row, index) => table.set(row, index * rowLength));
  const header = Buffer.from(JSON.stringify({ ...tables, rowLength, tableBytes: table.byteLength } satisfies Header));
  const lengths = new Uint8Array(Uint32Array.of(header.length).buffer);
  const content = Buffer.concat([lengths, header, new Uint8Array(table.buffer), bytes]);
  return Buffer.concat([createHash('sha256').update(content).digest(), content]);
}

function decode(file: Buffer): InterpreterImage | undefined {
  const content = file.subarray(DIGEST_BYTES);
  if (!createHash('sha256').update(content).digest().equals(file.subarray(0, DIGEST_BYTES))) return undefined;
  const headerEnd = 4 + content.readUInt32LE(0);
  const { rowLength, tableBytes, ...tables } = JSON.parse(content.toString('utf8', 4, headerEnd)) as Header;
  const table = new Uint16Array(new Uint8Array(content.subarray(headerEnd, headerEnd + tableBytes)).buffer);
  const handlers = Array.from({ length: table.length / rowLength }, (_, row) => table.subarray(row * rowLength, (row + 1) * rowLength));
  return { ...tables, handlers, bytes: new Uint8Array(content.subarray(headerEnd + tableBytes)) };
}
