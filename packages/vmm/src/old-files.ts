import { readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';

/** A file that nobody used for so many days goes: that of another version, most likely; until then another copy of Hanok may use it. */
const KEPT_DAYS = 7;
/** So do those that were used longest ago, where a folder has more than this. */
export const FOLDER_BYTES_MAX = 2 ** 30;

/** Removes files of a cache's folder. Throws where it cannot be read. */
export function dropOldFiles(folder: string): void {
  const oldMs = Date.now() - KEPT_DAYS * 86_400_000;
  const files = readdirSync(folder).map((name) => ({ path: join(folder, name), stats: statSync(join(folder, name), { throwIfNoEntry: false }) }));
  let sizeBytes = 0;
  for (const { path, stats } of files.toSorted((a, b) => (b.stats?.mtimeMs ?? 0) - (a.stats?.mtimeMs ?? 0))) {
    sizeBytes += stats?.size ?? 0;
    if (stats && (stats.mtimeMs < oldMs || sizeBytes > FOLDER_BYTES_MAX)) rmSync(path, { force: true });
  }
}

/** Says that a file is in use, so that it stays; one of a cache that this user may only read is used all the same. */
export function markUsed(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // Whoever may write there keeps it.
  }
}
