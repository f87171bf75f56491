import type { DebianPackage } from '../debian/packages-index.ts';
import { readDebControl, readDebTree } from '../debian/deb-file.ts';
import type { TreeEntry } from '../debian/deb-file.ts';
import type { Ext4Writer } from '../ext4/ext4-writer.ts';
import type { TreeNode } from '../ext4/tree.ts';
import { ImageError } from '../image-error.ts';
import { UnpackedPackage, aptExtendedStates, dpkgDatabase } from './dpkg-database.ts';
import { FileTree } from './file-tree.ts';
import type { GuestFile } from './guest-files.ts';

/** Top directories whose content is in /usr (Debian's "merged /usr"); packages may still name them. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'];

export interface UnpackOptions {
  /** In the order in which they are unpacked. */
  readonly packages: readonly DebianPackage[];
  /** Those that somebody asked for; the others are there for them. */
  readonly chosen: ReadonlySet<string>;
  readonly fetch: (chosen: DebianPackage) => Promise<Uint8Array>;
  readonly guestFiles: readonly GuestFile[];
  readonly timeSeconds: number;
  readonly signal?: AbortSignal | undefined;
  readonly onUnpacked?: (count: number) => void;
}

/** Writes a system whose packages are unpacked and not configured to a new file system. Gives the packages with a preinst script, in order. */
export async function unpackSystem(writer: Ext4Writer, options: UnpackOptions): Promise<{ preinst: string[] }> {
  const { timeSeconds, signal } = options;
  const tree = new FileTree();
  const put = async ({ path, content, mode = 0o644 }: GuestFile): Promise<void> => {
    const attributes = { mode, uid: 0, gid: 0, mtimeSeconds: timeSeconds };
    if (typeof content === 'object' && 'link' in content) tree.add(path, { type: 'symlink', ...attributes, mode: 0o777, target: content.link });
    else tree.add(path, { type: 'file', ...attributes, content: await writer.store(Buffer.from(content as string)) });
  };
  for (const name of MERGED) {
    tree.add(`usr/${name}`, { type: 'directory', mode: 0o755, uid: 0, gid: 0, mtimeSeconds: timeSeconds, entries: new Map() });
    tree.add(name, { type: 'symlink', mode: 0o777, uid: 0, gid: 0, mtimeSeconds: timeSeconds, target: `usr/${name}` });
  }
  const unpacked: UnpackedPackage[] = [];
  for (const chosen of options.packages) {
    signal?.throwIfAborted();
    const deb = await options.fetch(chosen);
    const entries = await readDebTree(deb, chosen.name, { signal });
    for (const entry of entries) tree.add(entry.path, await nodeOf(entry, tree, writer, chosen.name));
    unpacked.push(new UnpackedPackage(await readDebControl(deb, chosen.name), entries, chosen.name));
    options.onUnpacked?.(unpacked.length);
  }
  for (const { path, content, isScript } of dpkgDatabase(unpacked)) await put({ path: `var/lib/dpkg/${path}`, content, mode: isScript ? 0o755 : 0o644 });
  await put({ path: 'var/lib/apt/extended_states', content: aptExtendedStates(unpacked, options.chosen) });
  for (const file of options.guestFiles) await put(file);
  await writer.finish(tree.root);
  return { preinst: unpacked.filter(({ hasPreinst }) => hasPreinst).map(({ id }) => id) };
}

async function nodeOf(entry: TreeEntry, tree: FileTree, writer: Ext4Writer, label: string): Promise<TreeNode> {
  const { mode, uid, gid, mtimeSeconds, deviceMajor, deviceMinor } = entry;
  const attributes = { mode, uid, gid, mtimeSeconds };
  switch (entry.type) {
    case 'file':
      return { type: 'file', ...attributes, content: await writer.store(entry.content) };
    case 'directory':
      return { type: 'directory', ...attributes, entries: new Map() };
    case 'symlink':
      return { type: 'symlink', ...attributes, mode: 0o777, target: entry.linkTarget };
    case 'link': {
      const target = tree.find(entry.linkTarget);
      if (!target || target.type === 'directory') throw new ImageError(`${label} has a hard link to ${entry.linkTarget}, which it does not have: the package is damaged`);
      return target;
    }
    default:
      return { type: entry.type, ...attributes, deviceMajor, deviceMinor };
  }
}
