import type { NoticeListener } from '../cache.ts';
import { ImageCache, defaultCacheDirectory } from '../cache.ts';
import type { ProgressListener } from '../downloader.ts';
import { Downloader } from '../downloader.ts';
import { HttpClient } from '../http-client.ts';
import type { CommandRunner } from '../proxy.ts';
import { discoverProxies, runCommand } from '../proxy.ts';
import { DebianArchive, rememberedMirror } from './archive.ts';
import { candidateMirrors } from './mirror.ts';
import { findDebianKeyrings } from './release.ts';

export interface ArchiveOptions {
  /** Debian's suite, `bookworm` by default. */
  readonly suite?: string;
  /** Debian's name of the processor, `amd64` by default. */
  readonly architecture?: string;
  /** URL or directory of a Debian mirror; HANOK_DEBIAN_MIRROR or apt's own configuration otherwise. */
  readonly mirror?: string | undefined;
  /** `defaultCacheDirectory()` otherwise. */
  readonly cacheDirectory?: string | undefined;
  /** Asks the mirror for news even when the last answer is less than a day old. */
  readonly refresh?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly onNotice?: NoticeListener | undefined;
  /** Files with the keys that Debian's releases are signed with; those of this computer by default. */
  readonly keyrings?: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  readonly run?: CommandRunner;
  readonly retryDelaysMs?: readonly number[];
}

/** Finds a mirror, opens the suite there and calls `work` with it. */
export async function withArchive<T>(options: ArchiveOptions, work: (opened: { archive: DebianArchive; cache: ImageCache }) => Promise<T>): Promise<T> {
  const { architecture = 'amd64', signal, onProgress, onNotice = () => {}, suite = 'bookworm', environment = process.env, run = runCommand } = options;
  signal?.throwIfAborted();
  const cache = new ImageCache(options.cacheDirectory ?? defaultCacheDirectory(environment), onNotice);
  const mirrors = await findMirrors(options, cache, suite, environment, run);
  const client = new HttpClient(() => discoverProxies(mirrors[0]!.hostname, environment, run, signal));
  try {
    const downloader = new Downloader({ cache, client, signal, onProgress, onNotice, retryDelaysMs: options.retryDelaysMs });
    const keyrings = options.keyrings ?? (await findDebianKeyrings());
    const archive = await DebianArchive.open({ suite, architecture, mirrors, keyrings, cache, downloader, onNotice, refresh: options.refresh });
    return await work({ archive, cache });
  } finally {
    client.close();
  }
}

/** Asking apt takes a while: what it said of this suite today still counts, and is all there is where it says nothing. */
async function findMirrors({ mirror, refresh, signal }: ArchiveOptions, cache: ImageCache, suite: string, environment: NodeJS.ProcessEnv, run: CommandRunner): Promise<URL[]> {
  const isNamed = Boolean(mirror || environment['HANOK_DEBIAN_MIRROR']);
  const known = isNamed ? undefined : await rememberedMirror(cache, suite);
  if (known?.isFresh && !refresh) return [known.mirror];
  try {
    return await candidateMirrors(mirror, environment, run, signal);
  } catch (error) {
    signal?.throwIfAborted();
    if (!known) throw error;
    return [known.mirror];
  }
}
