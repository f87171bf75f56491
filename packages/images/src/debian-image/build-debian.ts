import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageCache, defaultCacheDirectory, sha256Hex } from '../cache.ts';
import { writeCpio } from '../cpio.ts';
import type { DebianArchive } from '../debian/archive.ts';
import { decompress } from '../debian/decompress.ts';
import type { ArchiveOptions } from '../debian/open-archive.ts';
import { withArchive } from '../debian/open-archive.ts';
import type { DebianPackage } from '../debian/packages-index.ts';
import type { Suggest } from '../debian/resolve.ts';
import { resolveClosure } from '../debian/resolve.ts';
import { Ext4Writer } from '../ext4/ext4-writer.ts';
import { ImageError } from '../image-error.ts';
import { ImageStore } from '../image-store.ts';
import { kernelPath, readBusybox, readKernel } from '../kernel/read-kernel.ts';
import { TINY_COMMAND_LINE } from '../tiny/command-line.ts';
import { listApplets, tinyEntries } from '../tiny/initramfs.ts';
import { askedPackages, choosePackages, kernelOf, namedPackages } from './choose-packages.ts';
import { DEBIAN_COMMAND_LINE } from './command-line.ts';
import type { MachineMaker } from './configure-machine.ts';
import { configureSystem } from './configure-machine.ts';
import { DownloadMeter } from './download-meter.ts';
import { guestFiles, sourcesList } from './guest-files.ts';
import type { GuestFile } from './guest-files.ts';
import { unpackSystem } from './unpack.ts';

/** A system on a disk, with its own kernel and initramfs. */
export interface DebianImage {
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
  /** A raw disk image with an ext4 file system, never to be changed: machines use overlays. */
  readonly disk: string;
}

export interface BuildDebianOptions extends Omit<ArchiveOptions, 'architecture'> {
  /** Packages of Debian that are there besides a normal system's. */
  readonly packages?: readonly string[];
  /** Makes the machine in which the packages are configured. */
  readonly createMachine: MachineMaker;
  /** For the error about a package that is not there. */
  readonly suggest?: Suggest | undefined;
}

/** Changes whenever the same inputs give another image. */
const BUILDER_VERSION = 3;
/** What the guest sees; the file takes what is used of it. */
const DISK_BYTES = 8 * 2 ** 30;
/** The machine that configures the packages needs its disk and its ports. */
const CONFIGURE_MODULES = ['virtio_pci', 'virtio_blk', 'virtio_console', 'ext4'];
const FETCHES_AT_ONCE = 4;

/**
 * Makes the image `debian`: downloads the packages, unpacks them to a file system without privileges, and has them
 * configured in a machine of their own. What was made once is used for good; `refresh` makes it of newer packages.
 */
export async function buildDebian(options: BuildDebianOptions): Promise<DebianImage> {
  const { suite = 'bookworm', onNotice = () => {}, environment = process.env } = options;
  const packages = [...new Set(options.packages ?? [])].sort();
  const cache = new ImageCache(options.cacheDirectory ?? defaultCacheDirectory(environment), onNotice);
  const store = new ImageStore(cache, onNotice);
  const files = await guestFiles();
  const scripts = await Promise.all([new URL('./guest/configure-init.sh', import.meta.url), new URL('./guest/configure.sh', import.meta.url)].map((file) => readFile(file, 'utf8')));
  const variant = sha256Hex(JSON.stringify([BUILDER_VERSION, suite, namedPackages(packages), files, scripts]));
  const name = `debian-${suite}`;
  const recordPath = cache.path('images', `${name}-${variant.slice(0, 16)}.json`);
  const record = await cache.readRecord(recordPath);
  const remembered = isRecord(record) && !options.refresh ? await store.find(name, record.inputsSha256) : undefined;
  if (remembered) return imageOf(remembered);

  const meter = new DownloadMeter(options.onProgress);
  return await withArchive({ ...options, suite, onProgress: meter.listener }, async ({ archive }) => {
    const chosen = await archive.select(`debian ${namedPackages(packages).join(' ')}`, (index) => choosePackages(index, packages, options.suggest));
    const [busybox] = await archive.select('debian busybox', (index) => resolveClosure(index, ['busybox-static']).filter((found) => found.name === 'busybox-static'));
    if (!busybox) throw new ImageError(`the cache in ${cache.directory} is damaged: remove it`);
    const inputsSha256 = sha256Hex(JSON.stringify([variant, busybox.sha256, ...chosen.map(({ sha256 }) => sha256)]));
    const builder = new DebianBuilder(options, archive, meter, { chosen, busybox, asked: new Set(askedPackages(await archive.index(), packages)) }, [...files, sourcesList(archive.mirror, suite)], scripts);
    const made = await store.obtain(name, inputsSha256, async (directory) => await builder.build(directory, inputsSha256));
    await cache.writeRecord(recordPath, { version: 1, inputsSha256 });
    return imageOf(made);
  });
}

interface Packages {
  readonly chosen: readonly DebianPackage[];
  readonly asked: ReadonlySet<string>;
  /** Of the machine that configures, not of the system. */
  readonly busybox: DebianPackage;
}

class DebianBuilder {
  readonly #options: BuildDebianOptions;
  readonly #archive: DebianArchive;
  readonly #meter: DownloadMeter;
  readonly #packages: Packages;
  readonly #files: readonly GuestFile[];
  readonly #scripts: readonly string[];

  constructor(options: BuildDebianOptions, archive: DebianArchive, meter: DownloadMeter, packages: Packages, files: readonly GuestFile[], scripts: readonly string[]) {
    this.#options = options;
    this.#archive = archive;
    this.#meter = meter;
    this.#packages = packages;
    this.#files = files;
    this.#scripts = scripts;
  }

  async build(directory: string, inputsSha256: string): Promise<void> {
    const { signal, onProgress } = this.#options;
    const { chosen } = this.#packages;
    const disk = join(directory, 'disk');
    await this.#download();
    const { preinst } = await this.#unpack(disk, inputsSha256);
    const kernelPackage = kernelOf(chosen);
    const kernel = await readKernel(await this.#archive.fetchPackage(kernelPackage), kernelPackage.name, CONFIGURE_MODULES, signal);
    const { initrd, log } = await configureSystem({
      createMachine: this.#options.createMachine,
      kernel: kernel.image,
      initrd: await this.#configureInitrd(kernel, preinst),
      commandLine: TINY_COMMAND_LINE,
      diskPath: disk,
      signal,
      onConfigured: (done) => onProgress?.({ label: 'configuring the packages', done, total: chosen.length, detail: `${done}/${chosen.length}` }),
      onStep: (label) => onProgress?.({ label, done: 0, total: 0 }),
    });
    await writeFile(join(directory, kernel.fileName), kernel.image);
    // Uncompressed, because the host has the time that the guest has not.
    const isGzip = initrd[0] === 0x1f && initrd[1] === 0x8b;
    await writeFile(join(directory, 'initrd'), isGzip ? await decompress('initrd.gz', initrd, { signal }) : initrd);
    await writeFile(join(directory, 'configure.log'), log);
  }

  /** Brings all packages into the cache. */
  async #download(): Promise<void> {
    const all = [...this.#packages.chosen, this.#packages.busybox];
    this.#meter.expect(all);
    let next = 0;
    const fetchSome = async (): Promise<void> => {
      for (let found = all[next++]; found; found = all[next++]) {
        await this.#archive.fetchPackage(found);
        this.#meter.fetched(found);
      }
    };
    await Promise.all(Array.from({ length: FETCHES_AT_ONCE }, fetchSome));
  }

  async #unpack(disk: string, inputsSha256: string): Promise<{ preinst: string[] }> {
    const { signal, onProgress } = this.#options;
    const { chosen, asked } = this.#packages;
    const timeSeconds = Math.floor(Date.now() / 1000);
    const writer = await Ext4Writer.create(disk, { sizeBytes: DISK_BYTES, uuid: Buffer.from(inputsSha256, 'hex').subarray(0, 16), label: 'debian', timeSeconds });
    try {
      return await unpackSystem(writer, {
        packages: chosen,
        chosen: asked,
        fetch: async (found) => await this.#archive.fetchPackage(found),
        guestFiles: this.#files,
        timeSeconds,
        signal,
        onUnpacked: (done) => onProgress?.({ label: 'unpacking the packages', done, total: chosen.length, detail: `${done}/${chosen.length}` }),
      });
    } finally {
      await writer.close();
    }
  }

  async #configureInitrd(kernel: Awaited<ReturnType<typeof readKernel>>, preinst: readonly string[]): Promise<Uint8Array> {
    const { busybox: found } = this.#packages;
    const { signal } = this.#options;
    const busybox = await readBusybox(await this.#archive.fetchPackage(found), found.name, signal);
    const applets = await listApplets(busybox, signal);
    const [init = '', configure = ''] = this.#scripts;
    return writeCpio([
      ...tinyEntries({ busybox, applets, modules: kernel.modules, kernelVersion: kernel.version, init, profile: '' }),
      { path: 'configure.sh', type: 'file', mode: 0o755, content: configure },
      { path: 'preinst.list', type: 'file', mode: 0o644, content: preinst.map((id) => `${id}\n`).join('') },
    ]);
  }
}

function imageOf(files: ReadonlyMap<string, string>): DebianImage {
  return { kernel: kernelPath(files), initrd: files.get('initrd')!, disk: files.get('disk')!, commandLine: DEBIAN_COMMAND_LINE };
}

function isRecord(value: unknown): value is { inputsSha256: string } {
  const record = value as { version?: unknown; inputsSha256?: unknown } | undefined;
  return record?.version === 1 && typeof record.inputsSha256 === 'string' && /^[0-9a-f]{64}$/.test(record.inputsSha256);
}
