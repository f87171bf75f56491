/*
 * The layout that Hanok gives an ext4 file system (Linux, Documentation/filesystems/ext4): all bitmaps and inode tables
 * of all groups stand in front (flex_bg) and there are no copies of the superblock (sparse_super2), so that everything
 * behind them is one run of blocks and each file one extent. There are no checksums of metadata.
 */
export const BLOCK_BYTES = 4096;
export const BLOCKS_PER_GROUP = 8 * BLOCK_BYTES;
const GROUP_BYTES = BLOCKS_PER_GROUP * BLOCK_BYTES;
export const INODES_PER_GROUP = 4096;
export const INODE_BYTES = 256;
export const DESCRIPTOR_BYTES = 32;

/** Numbers of inodes that have a meaning of their own. */
export const ROOT_INODE = 2;
export const JOURNAL_INODE = 8;
/** The first that files get: `lost+found`. */
export const FIRST_INODE = 11;

const JOURNAL_BYTES = 32 << 20;
export const JOURNAL_BLOCKS = JOURNAL_BYTES / BLOCK_BYTES;

/** Block numbers of a file system of `groupCount` groups. */
export class Ext4Layout {
  readonly groupCount: number;
  readonly blockCount: number;
  readonly inodeCount: number;
  /** The superblock is in block 0, the group descriptors follow it. */
  readonly descriptorsBlock = 1;
  readonly blockBitmapsBlock: number;
  readonly inodeBitmapsBlock: number;
  readonly inodeTableBlock: number;
  readonly journalBlock: number;
  readonly dataBlock: number;

  constructor(sizeBytes: number) {
    if (!Number.isInteger(sizeBytes / GROUP_BYTES) || sizeBytes < 2 * GROUP_BYTES) throw new RangeError(`a file system of ${sizeBytes} bytes; give a multiple of ${GROUP_BYTES}`);
    this.groupCount = sizeBytes / GROUP_BYTES;
    this.blockCount = this.groupCount * BLOCKS_PER_GROUP;
    this.inodeCount = this.groupCount * INODES_PER_GROUP;
    this.blockBitmapsBlock = this.descriptorsBlock + Math.ceil((this.groupCount * DESCRIPTOR_BYTES) / BLOCK_BYTES);
    this.inodeBitmapsBlock = this.blockBitmapsBlock + this.groupCount;
    this.inodeTableBlock = this.inodeBitmapsBlock + this.groupCount;
    this.journalBlock = this.inodeTableBlock + this.groupCount * this.inodeTableBlocks;
    this.dataBlock = this.journalBlock + JOURNAL_BLOCKS;
  }

  /** Of one group. The tables follow each other, so that inode `n` is entry `n - 1` of one long table. */
  get inodeTableBlocks(): number {
    return (INODES_PER_GROUP * INODE_BYTES) / BLOCK_BYTES;
  }
}
