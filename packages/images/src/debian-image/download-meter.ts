import type { DebianPackage } from '../debian/packages-index.ts';
import type { Progress, ProgressListener } from '../downloader.ts';

/** Makes one bar of the many of downloads that run side by side. */
export class DownloadMeter {
  readonly #onProgress: ProgressListener;
  readonly #doneBytes = new Map<string, number>();
  #totalBytes = 0;

  constructor(onProgress: ProgressListener = () => {}) {
    this.#onProgress = onProgress;
  }

  /** What the downloader reports; steps that are none of the expected packages pass. */
  readonly listener: ProgressListener = (progress: Progress) => {
    if (!this.#doneBytes.has(progress.label)) this.#onProgress(progress);
    else this.#update(progress.label, progress.done);
  };

  expect(packages: readonly DebianPackage[]): void {
    for (const found of packages) this.#doneBytes.set(labelOf(found), 0);
    this.#totalBytes = packages.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  }

  /** The package is there, from wherever. */
  fetched(found: DebianPackage): void {
    this.#update(labelOf(found), found.sizeBytes);
  }

  #update(label: string, doneBytes: number): void {
    this.#doneBytes.set(label, doneBytes);
    const done = this.#doneBytes.values().reduce((sum, bytes) => sum + bytes, 0);
    this.#onProgress({ label: `downloading ${this.#doneBytes.size} packages`, done, total: this.#totalBytes, detail: `${megabytes(done)} of ${megabytes(this.#totalBytes)} MB` });
  }
}

const megabytes = (bytes: number): string => String(Math.round(bytes / 1e6));

/** As `DebianArchive.fetchPackage` calls it. */
function labelOf({ name, version }: DebianPackage): string {
  return `${name} ${version}`;
}
