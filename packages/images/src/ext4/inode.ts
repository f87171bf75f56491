import { ImageError } from '../image-error.ts';
import { BLOCK_BYTES, INODE_BYTES } from './layout.ts';
import type { StoredContent, TreeNode } from './tree.ts';

/** Types of file: the upper bits of `i_mode`, and the number in a directory entry. */
export const FILE_TYPES = {
  file: { mode: 0o100000, entry: 1 },
  directory: { mode: 0o040000, entry: 2 },
  'character-device': { mode: 0o020000, entry: 3 },
  'block-device': { mode: 0o060000, entry: 4 },
  fifo: { mode: 0o010000, entry: 5 },
  symlink: { mode: 0o120000, entry: 7 },
} as const;

const EXTENTS_FLAG = 0x80000;
const EXTENT_MAGIC = 0xf30a;
const EXTENT_MAX_BLOCKS = 32768;
/** What the inode holds itself; more would need blocks of their own. */
const EXTENTS_MAX = 4;
/** Where an inode says what its content is or where. */
export const I_BLOCK_OFFSET = 0x28;
export const I_BLOCK_BYTES = 60;
/** Bytes behind the first 128 that have a meaning (`i_extra_isize`). */
export const EXTRA_INODE_BYTES = 32;

/** The largest content that `writeInode` takes. */
export const FILE_MAX_BYTES = EXTENTS_MAX * EXTENT_MAX_BLOCKS * BLOCK_BYTES;

/** True when a symlink's target stands in the inode and not in a block. */
export const isFastSymlink = (target: string): boolean => Buffer.byteLength(target) < I_BLOCK_BYTES;

export interface InodeFields {
  readonly type: TreeNode['type'];
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly links: number;
  readonly content?: StoredContent | undefined;
  /** Of a fast symlink. */
  readonly target?: string | undefined;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
}

/** An entry of the inode table (ext4, "Index Nodes"). */
export function writeInode(fields: InodeFields): Uint8Array {
  const inode = Buffer.alloc(INODE_BYTES);
  inode.writeUInt16LE(FILE_TYPES[fields.type].mode | fields.mode, 0x0);
  inode.writeUInt16LE(fields.uid & 0xffff, 0x2);
  inode.writeUInt16LE(fields.gid & 0xffff, 0x18);
  inode.writeUInt16LE(fields.uid >>> 16, 0x78);
  inode.writeUInt16LE(fields.gid >>> 16, 0x7a);
  // atime, ctime, mtime and, in the larger inode, crtime
  for (const offset of [0x8, 0xc, 0x10, 0x90]) inode.writeUInt32LE(fields.mtimeSeconds >>> 0, offset);
  inode.writeUInt16LE(fields.links, 0x1a);
  inode.writeUInt16LE(EXTRA_INODE_BYTES, 0x80);
  if (fields.content) writeContent(inode, fields.content);
  else if (fields.target !== undefined) writeTarget(inode, fields.target);
  else writeDevice(inode, fields.deviceMajor ?? 0, fields.deviceMinor ?? 0);
  return inode;
}

function writeContent(inode: Buffer, { firstBlock, sizeBytes }: StoredContent): void {
  const blockCount = Math.ceil(sizeBytes / BLOCK_BYTES);
  inode.writeUInt32LE(sizeBytes >>> 0, 0x4);
  inode.writeUInt32LE(Math.floor(sizeBytes / 2 ** 32), 0x6c);
  inode.writeUInt32LE(blockCount * (BLOCK_BYTES / 512), 0x1c);
  inode.writeUInt32LE(EXTENTS_FLAG, 0x20);
  inode.writeUInt16LE(EXTENT_MAGIC, I_BLOCK_OFFSET);
  inode.writeUInt16LE(Math.ceil(blockCount / EXTENT_MAX_BLOCKS), I_BLOCK_OFFSET + 2);
  inode.writeUInt16LE(EXTENTS_MAX, I_BLOCK_OFFSET + 4);
  for (let done = 0, offset = I_BLOCK_OFFSET + 12; done < blockCount; done += EXTENT_MAX_BLOCKS, offset += 12) {
    inode.writeUInt32LE(done, offset);
    inode.writeUInt16LE(Math.min(EXTENT_MAX_BLOCKS, blockCount - done), offset + 4);
    inode.writeUInt32LE(firstBlock + done, offset + 8);
  }
}

function writeTarget(inode: Buffer, target: string): void {
  inode.writeUInt32LE(Buffer.byteLength(target), 0x4);
  inode.write(target, I_BLOCK_OFFSET);
}

/** Linux's device numbers: small ones in the first word as ever, others in the second. */
function writeDevice(inode: Buffer, major: number, minor: number): void {
  if (major > 0xfff || minor > 0xfffff) throw new ImageError(`device number ${major}:${minor} is not one of Linux`);
  if (major < 256 && minor < 256) inode.writeUInt32LE((major << 8) | minor, I_BLOCK_OFFSET);
  else inode.writeUInt32LE(((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0, I_BLOCK_OFFSET + 4);
}
