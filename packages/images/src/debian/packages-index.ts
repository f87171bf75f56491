import { ImageError } from '../image-error.ts';
import type { Relation } from './relation.ts';
import { parseRelations } from './relation.ts';

/** What the index says of one package; `depends` includes Pre-Depends, in their order. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** Path below the mirror. */
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  /** Alternatives of each dependency. */
  readonly depends: readonly (readonly Relation[])[];
  /** Includes Breaks: both may not be there together. */
  readonly conflicts: readonly Relation[];
  /** Virtual packages, with a version where `operator` is there. */
  readonly provides: readonly Relation[];
  readonly priority: string;
  readonly essential: boolean;
}

const STANZA_START = Buffer.from('\n\nPackage: ');

/** Field of a stanza (deb-control syntax, Debian Policy §5.1); continuation lines are joined. */
function fieldOf(stanza: string, key: string): string {
  const start = stanza.startsWith(`${key}:`) ? 0 : stanza.indexOf(`\n${key}:`) + 1;
  if (start === 0 && !stanza.startsWith(`${key}:`)) return '';
  const match = /^[^:]*:([^\n]*(?:\n[ \t][^\n]*)*)/.exec(stanza.slice(start));
  return match ? match[1]!.replace(/\n[ \t]/g, ' ').trim() : '';
}

function parseStanza(stanza: string): DebianPackage {
  const name = fieldOf(stanza, 'Package');
  const fileName = fieldOf(stanza, 'Filename');
  const sha256 = fieldOf(stanza, 'SHA256');
  const size = fieldOf(stanza, 'Size');
  // The path is joined to the mirror's address and must stay below it.
  const safePath = /^[\w.+~/-]+$/.test(fileName) && !fileName.startsWith('/') && !fileName.split('/').includes('..');
  if (!safePath || !/^[0-9a-f]{64}$/.test(sha256) || !/^\d{1,12}$/.test(size)) {
    throw new ImageError(`the package index has no usable file name, size or SHA-256 for ${name}: name another mirror`);
  }
  const relations = (...fields: string[]): Relation[][] => parseRelations(fields.map((field) => fieldOf(stanza, field)).filter(Boolean).join(','));
  return {
    name,
    version: fieldOf(stanza, 'Version'),
    fileName,
    sizeBytes: Number(size),
    sha256,
    depends: relations('Pre-Depends', 'Depends'),
    conflicts: relations('Conflicts', 'Breaks').flat(),
    provides: relations('Provides').flat(),
    priority: fieldOf(stanza, 'Priority'),
    essential: fieldOf(stanza, 'Essential') === 'yes',
  };
}

/** A `Packages` file. Stanzas are found at once and parsed when asked for: there are some 60,000. */
export class PackagesIndex {
  readonly #bytes: Buffer;
  readonly #starts = new Map<string, { start: number; end: number }>();
  #providers: Map<string, string[]> | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let start = this.#bytes.subarray(0, 9).toString('latin1') === 'Package: ' ? 0 : this.#next(0);
    while (start >= 0) {
      const next = this.#next(start);
      const nameEnd = this.#bytes.indexOf(10, start);
      const name = this.#bytes.toString('latin1', start + 9, nameEnd < 0 ? this.#bytes.length : nameEnd).trim();
      // An index may list two versions of a package; the first is the newest in what Debian publishes.
      if (!this.#starts.has(name)) this.#starts.set(name, { start, end: next < 0 ? this.#bytes.length : next });
      start = next;
    }
  }

  get names(): IterableIterator<string> {
    return this.#starts.keys();
  }

  /** The package called `name`, or undefined; virtual packages are not packages. */
  find(name: string): DebianPackage | undefined {
    const range = this.#starts.get(name);
    return range && parseStanza(this.#bytes.toString('utf8', range.start, range.end));
  }

  /** Names of the packages that provide the virtual package `name`. */
  providersOf(name: string): readonly string[] {
    this.#providers ??= this.#indexProviders();
    return this.#providers.get(name) ?? [];
  }

  /** Names of the packages of a priority, such as `required`. */
  namesOfPriority(priority: string): string[] {
    const line = Buffer.from(`\nPriority: ${priority}\n`);
    return [...this.#starts].filter(([, { start, end }]) => this.#bytes.subarray(start, end).includes(line)).map(([name]) => name);
  }

  #next(from: number): number {
    const found = this.#bytes.indexOf(STANZA_START, from);
    return found < 0 ? -1 : found + 2;
  }

  #indexProviders(): Map<string, string[]> {
    const providers = new Map<string, string[]>();
    for (const [name, { start, end }] of this.#starts) {
      const stanza = this.#bytes.toString('latin1', start, end);
      for (const { name: virtual } of parseRelations(fieldOf(stanza, 'Provides')).flat()) {
        const list = providers.get(virtual);
        if (list) list.push(name);
        else providers.set(virtual, [name]);
      }
    }
    return providers;
  }
}
