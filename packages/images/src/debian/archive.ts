import { readdir } from 'node:fs/promises';
import type { ImageCache, NoticeListener } from '../cache.ts';
import { sha256Hex } from '../cache.ts';
import type { Downloader } from '../downloader.ts';
import { UnreachableError } from '../downloader.ts';
import { ImageError } from '../image-error.ts';
import { NotFoundError } from '../part-file.ts';
import type { BlobRequest } from '../part-file.ts';
import { decompress } from './decompress.ts';
import type { DebianPackage } from './packages-index.ts';
import { PackagesIndex } from './packages-index.ts';
import type { Release, ReleaseFile } from './release.ts';
import { parseRelease, verifyInRelease } from './release.ts';

/** Changes with the shape of what a selection remembers. */
const SELECTION_VERSION = 2;
const INDEX_FRESH_MS = 24 * 3600 * 1000;
const IN_RELEASE_LIMIT_BYTES = 16 << 20;

export interface DebianArchiveOptions {
  readonly suite: string;
  /** Debian's name of the processor the packages are for: `amd64` by default. */
  readonly architecture?: string;
  /** In order of preference; the first that has the suite is used. */
  readonly mirrors: readonly URL[];
  readonly keyrings: readonly string[];
  readonly cache: ImageCache;
  readonly downloader: Downloader;
  readonly onNotice: NoticeListener;
  /** Asks the mirror for a newer index even when the cached one is fresh. */
  readonly refresh?: boolean | undefined;
  readonly wallMs?: () => number;
}

/** What is remembered of a suite on a mirror. */
interface SuiteRecord {
  readonly version: 1;
  readonly mirror: string;
  readonly suite: string;
  readonly checkedAtMs: number;
  readonly lastModified: string;
  /** The index, e.g. `main/binary-amd64/Packages.xz`, as the signed release names it. */
  readonly index: ReleaseFile;
}

/** One suite of a Debian mirror: its package index and its packages, through the cache. */
export class DebianArchive {
  readonly #options: DebianArchiveOptions;
  readonly #record: SuiteRecord;
  #index: Promise<PackagesIndex> | undefined;

  private constructor(options: DebianArchiveOptions, record: SuiteRecord) {
    this.#options = options;
    this.#record = record;
  }

  get mirror(): string {
    return this.#record.mirror;
  }

  /** Finds the suite on the first mirror that has it, and checks its signature. Works offline from the cache. */
  static async open(options: DebianArchiveOptions): Promise<DebianArchive> {
    if (!/^[a-z][a-z0-9-]*$/.test(options.suite)) throw new ImageError(`"${options.suite}" is not the name of a Debian suite: try bookworm`);
    const missing: string[] = [];
    for (const mirror of options.mirrors) {
      try {
        return new DebianArchive(options, await currentRecord(options, mirror));
      } catch (error) {
        if (!(error instanceof NotFoundError)) throw error;
        missing.push(mirror.href);
      }
    }
    throw new ImageError(`no mirror has Debian's ${options.suite} (asked: ${missing.join(', ')}): check the suite or name another mirror`);
  }

  /** SHA-256 of the package index: what `select` depends on. */
  get indexSha256(): string {
    return this.#record.index.sha256;
  }

  /** The parsed index. It takes a second; `select` remembers what was found. */
  index(): Promise<PackagesIndex> {
    this.#index ??= this.#readIndex();
    return this.#index;
  }

  /** Calls `choose` on the index, once for each `key` and index: the packages it gives are remembered. */
  async select(key: string, choose: (index: PackagesIndex) => DebianPackage[]): Promise<DebianPackage[]> {
    const { cache } = this.#options;
    const path = cache.path('debian', 'selections', `${sha256Hex(`${SELECTION_VERSION} ${this.indexSha256} ${key}`)}.json`);
    const remembered = await cache.readRecord(path);
    if (isPackageList(remembered)) return remembered;
    const chosen = choose(await this.index());
    await cache.writeRecord(path, chosen);
    return chosen;
  }

  /** The bytes of a .deb, checked against the index. */
  async fetchPackage(chosen: DebianPackage): Promise<Uint8Array> {
    return await this.#options.downloader.fetchBlob({
      url: new URL(chosen.fileName, this.#record.mirror),
      sha256: chosen.sha256,
      sizeBytes: chosen.sizeBytes,
      label: `${chosen.name} ${chosen.version}`,
    });
  }

  async #readIndex(): Promise<PackagesIndex> {
    const { index, mirror, suite } = this.#record;
    const url = new URL(`dists/${suite}/${index.path}`, mirror);
    const compressed = await this.#options.downloader.fetchBlob(indexRequest(index, url, suite));
    return new PackagesIndex(await decompress(index.path, compressed));
  }
}

/** The mirror that a suite was last asked of, and whether what it said still counts. */
export async function rememberedMirror(cache: ImageCache, suite: string, nowMs = Date.now()): Promise<{ mirror: URL; isFresh: boolean } | undefined> {
  const names = (await readdir(cache.path('debian')).catch(() => [])).filter((name) => name.startsWith(`${suite}-`) && name.endsWith('.json'));
  const records = (await Promise.all(names.map((name) => cache.readRecord(cache.path('debian', name))))).filter(isSuiteRecord);
  const [last] = records.toSorted((a, b) => b.checkedAtMs - a.checkedAtMs);
  return last && { mirror: new URL(last.mirror), isFresh: isFresh(last, nowMs) };
}

const isFresh = ({ checkedAtMs }: SuiteRecord, nowMs: number) => nowMs >= checkedAtMs && nowMs - checkedAtMs < INDEX_FRESH_MS;

async function currentRecord(options: DebianArchiveOptions, mirror: URL): Promise<SuiteRecord> {
  const { cache, downloader, suite, architecture = 'amd64', onNotice } = options;
  const nowMs = (options.wallMs ?? Date.now)();
  const path = cache.path('debian', `${suite}-${sha256Hex(`${mirror.href}${architecture === 'amd64' ? '' : architecture}`).slice(0, 16)}.json`);
  const found = await cache.readRecord(path);
  const remembered = isSuiteRecord(found) && found.mirror === mirror.href && found.suite === suite ? found : undefined;
  if (remembered && !options.refresh && isFresh(remembered, nowMs)) return remembered;

  const url = new URL(`dists/${suite}/InRelease`, mirror);
  try {
    const headers: Record<string, string> = remembered?.lastModified ? { 'if-modified-since': remembered.lastModified } : {};
    const answer = await downloader.fetchSmall(url, IN_RELEASE_LIMIT_BYTES, headers);
    if (!answer) {
      const renewed = { ...remembered!, checkedAtMs: nowMs };
      await cache.writeRecord(path, renewed);
      return renewed;
    }
    const release = parseRelease(await verifyInRelease(answer.bytes, url.href, options.keyrings, onNotice), url.href);
    if (release.codename !== suite && release.suite !== suite) {
      throw new ImageError(`${url.href} is of ${release.codename || 'no suite'}, not of ${suite}: name another mirror`);
    }
    const isSame = remembered && release.files.get(remembered.index.path)?.sha256 === remembered.index.sha256;
    const index = isSame ? remembered.index : await fetchIndex(options, mirror, release);
    const record: SuiteRecord = { version: 1, mirror: mirror.href, suite, checkedAtMs: nowMs, lastModified: answer.lastModified, index };
    await cache.writeRecord(path, record);
    return record;
  } catch (error) {
    if (!(error instanceof UnreachableError) || !remembered) throw error;
    onNotice(`${error.message}; going on with the package index of ${new Date(remembered.checkedAtMs).toISOString().slice(0, 10)}`);
    return remembered;
  }
}

function indexRequest(file: ReleaseFile, url: URL, suite: string): BlobRequest {
  return { url, sha256: file.sha256, sizeBytes: file.sizeBytes, label: `package index of ${suite}` };
}

/** Brings the index into the cache in the smallest form that the mirror has. */
async function fetchIndex(options: DebianArchiveOptions, mirror: URL, release: Release): Promise<ReleaseFile> {
  const directory = `main/binary-${options.architecture ?? 'amd64'}`;
  let missing: unknown;
  for (const name of ['Packages.xz', 'Packages.gz', 'Packages']) {
    const file = release.files.get(`${directory}/${name}`);
    if (!file) continue;
    try {
      const url = new URL(`dists/${options.suite}/${file.path}`, mirror);
      await options.downloader.fetchBlob(indexRequest(file, url, options.suite));
      return file;
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      missing = error;
    }
  }
  throw new ImageError(`${mirror.href} has no ${directory}/Packages for ${options.suite}: name another mirror`, missing);
}

function isSuiteRecord(value: unknown): value is SuiteRecord {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  const index = record['index'] as Record<string, unknown> | null | undefined;
  return (
    record['version'] === 1 &&
    typeof record['mirror'] === 'string' &&
    typeof record['suite'] === 'string' &&
    typeof record['checkedAtMs'] === 'number' &&
    typeof record['lastModified'] === 'string' &&
    typeof index === 'object' &&
    index !== null &&
    typeof index['path'] === 'string' &&
    isSha256(index['sha256']) &&
    typeof index['sizeBytes'] === 'number'
  );
}

function isPackageList(value: unknown): value is DebianPackage[] {
  return (
    Array.isArray(value) &&
    value.every(
      (item: Record<string, unknown> | null) =>
        typeof item?.['name'] === 'string' &&
        typeof item['version'] === 'string' &&
        typeof item['fileName'] === 'string' &&
        typeof item['sizeBytes'] === 'number' &&
        isSha256(item['sha256']),
    )
  );
}

function isSha256(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}
