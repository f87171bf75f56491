import { EXTRA_INODE_BYTES, I_BLOCK_BYTES, I_BLOCK_OFFSET } from './inode.ts';
import { BLOCKS_PER_GROUP, BLOCK_BYTES, DESCRIPTOR_BYTES, FIRST_INODE, INODES_PER_GROUP, INODE_BYTES, JOURNAL_BLOCKS, JOURNAL_INODE } from './layout.ts';
import type { Ext4Layout } from './layout.ts';

/** Where the superblock starts in the file system. */
export const SUPERBLOCK_OFFSET = 1024;
const SUPERBLOCK_BYTES = 1024;

const COMPATIBLE = { has_journal: 0x4, ext_attr: 0x8, dir_index: 0x20, sparse_super2: 0x200 };
const INCOMPATIBLE = { filetype: 0x2, extents: 0x40, flex_bg: 0x200 };
const READ_ONLY_COMPATIBLE = { large_file: 0x2, huge_file: 0x8, dir_nlink: 0x20, extra_isize: 0x40 };

/** What tells a file system from others. */
export interface Ext4Identity {
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** At most 16 characters. */
  readonly label: string;
  readonly timeSeconds: number;
}

const allOf = (bits: Readonly<Record<string, number>>): number => Object.values(bits).reduce((all, bit) => all | bit, 0);

export interface Ext4State {
  readonly freeBlocks: number;
  readonly freeInodes: number;
  /** As it stands in the inode table; the superblock has a copy of where its content is. */
  readonly journalInode: Uint8Array;
}

/** The superblock (ext4, "Super Block") of a clean file system. */
export function writeSuperblock(layout: Ext4Layout, identity: Ext4Identity, { freeBlocks, freeInodes, journalInode }: Ext4State): Uint8Array {
  const block = Buffer.alloc(SUPERBLOCK_BYTES);
  const words: readonly (readonly [offset: number, value: number])[] = [
    [0x0, layout.inodeCount],
    [0x4, layout.blockCount],
    [0xc, freeBlocks],
    [0x10, freeInodes],
    // Block size and cluster size as powers of two from 1024.
    [0x18, Math.log2(BLOCK_BYTES / 1024)],
    [0x1c, Math.log2(BLOCK_BYTES / 1024)],
    [0x20, BLOCKS_PER_GROUP],
    [0x24, BLOCKS_PER_GROUP],
    [0x28, INODES_PER_GROUP],
    [0x30, identity.timeSeconds],
    [0x40, identity.timeSeconds],
    // Revision 1: inode size and features count.
    [0x4c, 1],
    [0x54, FIRST_INODE],
    [0x5c, allOf(COMPATIBLE)],
    [0x60, allOf(INCOMPATIBLE)],
    [0x64, allOf(READ_ONLY_COMPATIBLE)],
    [0xe0, JOURNAL_INODE],
    [0x108, identity.timeSeconds],
    // The hashes of new large directories take characters as signed.
    [0x160, 0x1],
  ];
  for (const [offset, value] of words) block.writeUInt32LE(value, offset);
  // Never checked for having been mounted so often.
  block.writeUInt16LE(0xffff, 0x36);
  block.writeUInt16LE(0xef53, 0x38);
  // Clean; errors do not stop it.
  block.writeUInt16LE(1, 0x3a);
  block.writeUInt16LE(1, 0x3c);
  block.writeUInt16LE(INODE_BYTES, 0x58);
  block.set(identity.uuid, 0x68);
  block.write(identity.label, 0x78, 16);
  // Key and kind (half MD4) of the hash of directories that grow to be indexed.
  block.set(identity.uuid, 0xec);
  block.writeUInt8(1, 0xfc);
  // The copy has i_block, i_size_high and i_size, in that order.
  block.writeUInt8(1, 0xfd);
  block.set(journalInode.subarray(I_BLOCK_OFFSET, I_BLOCK_OFFSET + I_BLOCK_BYTES), 0x10c);
  block.set(journalInode.subarray(0x6c, 0x70), 0x148);
  block.set(journalInode.subarray(0x4, 0x8), 0x14c);
  block.writeUInt16LE(EXTRA_INODE_BYTES, 0x15c);
  block.writeUInt16LE(EXTRA_INODE_BYTES, 0x15e);
  // All groups together are one flexible group.
  block.writeUInt8(Math.ceil(Math.log2(layout.groupCount)), 0x174);
  return block;
}

export interface GroupUse {
  readonly freeBlocks: number;
  readonly freeInodes: number;
  readonly directories: number;
}

/** The group descriptors (ext4, "Block Group Descriptors"). */
export function writeDescriptors(layout: Ext4Layout, groups: readonly GroupUse[]): Uint8Array {
  const table = Buffer.alloc(layout.groupCount * DESCRIPTOR_BYTES);
  for (const [group, use] of groups.entries()) {
    const offset = group * DESCRIPTOR_BYTES;
    table.writeUInt32LE(layout.blockBitmapsBlock + group, offset);
    table.writeUInt32LE(layout.inodeBitmapsBlock + group, offset + 0x4);
    table.writeUInt32LE(layout.inodeTableBlock + group * layout.inodeTableBlocks, offset + 0x8);
    table.writeUInt16LE(use.freeBlocks, offset + 0xc);
    table.writeUInt16LE(use.freeInodes, offset + 0xe);
    table.writeUInt16LE(use.directories, offset + 0x10);
  }
  return table;
}

/** The first block of an empty journal (ext4, "Journal (jbd2)"), big endian. */
export function writeJournalSuperblock(identity: Ext4Identity): Uint8Array {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.writeUInt32BE(0xc03b3998, 0x0);
  // Superblock, version 2.
  block.writeUInt32BE(4, 0x4);
  block.writeUInt32BE(BLOCK_BYTES, 0xc);
  block.writeUInt32BE(JOURNAL_BLOCKS, 0x10);
  // First block of the log, and the first sequence number; a start of 0 says that it is empty.
  block.writeUInt32BE(1, 0x14);
  block.writeUInt32BE(1, 0x18);
  block.set(identity.uuid, 0x30);
  // One user.
  block.writeUInt32BE(1, 0x40);
  return block;
}
