import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { ImageError, cacheError } from '../image-error.ts';
import { writeDirectory } from './directory.ts';
import { FILE_MAX_BYTES, FILE_TYPES, isFastSymlink, writeInode } from './inode.ts';
import { BLOCKS_PER_GROUP, BLOCK_BYTES, Ext4Layout, FIRST_INODE, INODES_PER_GROUP, INODE_BYTES, JOURNAL_BLOCKS, JOURNAL_INODE, ROOT_INODE } from './layout.ts';
import type { Ext4Identity, GroupUse } from './superblock.ts';
import { SUPERBLOCK_OFFSET, writeDescriptors, writeJournalSuperblock, writeSuperblock } from './superblock.ts';
import type { DirectoryNode, StoredContent, TreeNode } from './tree.ts';

export interface Ext4Options extends Ext4Identity {
  /** A multiple of 128 MiB. What is free takes no space where the host's files can have holes. */
  readonly sizeBytes: number;
}

/**
 * Makes an ext4 file system in a new file, without privileges and without other programs. Contents are stored as they
 * come, so that only the tree's names stand in memory; `finish` writes the tree.
 */
export class Ext4Writer {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #layout: Ext4Layout;
  readonly #identity: Ext4Identity;
  #nextBlock: number;

  private constructor(path: string, handle: FileHandle, options: Ext4Options) {
    this.#path = path;
    this.#handle = handle;
    this.#identity = options;
    this.#layout = new Ext4Layout(options.sizeBytes);
    this.#nextBlock = this.#layout.dataBlock;
  }

  static async create(path: string, options: Ext4Options): Promise<Ext4Writer> {
    const handle = await open(path, 'wx', 0o644).catch((error: unknown) => {
      throw cacheError(error, path);
    });
    const writer = new Ext4Writer(path, handle, options);
    await handle.truncate(options.sizeBytes);
    return writer;
  }

  async store(content: Uint8Array): Promise<StoredContent> {
    const firstBlock = this.#nextBlock;
    const blockCount = Math.ceil(content.length / BLOCK_BYTES);
    if (content.length > FILE_MAX_BYTES) throw new ImageError(`a file of ${content.length} bytes is too large for ${this.#path}: leave out the package that has it`);
    if (firstBlock + blockCount > this.#layout.blockCount) throw new ImageError(`the packages do not fit into ${this.#path}: choose fewer`);
    this.#nextBlock += blockCount;
    await this.#write(firstBlock * BLOCK_BYTES, content);
    return { firstBlock, sizeBytes: content.length };
  }

  /** Writes the tree below `root`, and everything else that the file system needs. */
  async finish(root: DirectoryNode): Promise<void> {
    const layout = this.#layout;
    if (!root.entries.has('lost+found')) {
      const { mtimeSeconds } = root;
      root.entries.set('lost+found', { type: 'directory', mode: 0o700, uid: 0, gid: 0, mtimeSeconds, entries: new Map() });
    }
    const numbers = numberInodes(root);
    const inodeEnd = FIRST_INODE + numbers.size - 2;
    if (inodeEnd > layout.inodeCount) throw new ImageError(`the packages have more files than ${this.#path} can: choose fewer`);
    const table = Buffer.alloc(inodeEnd * INODE_BYTES);
    const put = (inode: number, bytes: Uint8Array): void => table.set(bytes, (inode - 1) * INODE_BYTES);
    const attributes = { mode: 0o600, uid: 0, gid: 0, mtimeSeconds: this.#identity.timeSeconds };
    const journalInode = writeInode({ type: 'file', ...attributes, links: 1, content: { firstBlock: layout.journalBlock, sizeBytes: JOURNAL_BLOCKS * BLOCK_BYTES } });
    put(JOURNAL_INODE, journalInode);
    const links = countLinks(numbers);
    const parents = parentsOf(root);
    const directoriesByGroup = new Array<number>(layout.groupCount).fill(0);
    for (const [node, inode] of numbers) {
      put(inode, writeInode({ ...node, links: links.get(node)!, ...(await this.#contentOf(node, numbers, parents)) }));
      if (node.type === 'directory') directoriesByGroup[Math.floor((inode - 1) / INODES_PER_GROUP)]!++;
    }
    await this.#write(layout.inodeTableBlock * BLOCK_BYTES, table);
    await this.#write(layout.journalBlock * BLOCK_BYTES, writeJournalSuperblock(this.#identity));
    await this.#writeUse(inodeEnd, directoriesByGroup, journalInode);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #contentOf(node: TreeNode, numbers: ReadonlyMap<TreeNode, number>, parents: ReadonlyMap<TreeNode, DirectoryNode>): Promise<{ content?: StoredContent }> {
    if (node.type === 'symlink') return isFastSymlink(node.target) ? {} : { content: await this.store(Buffer.from(node.target)) };
    if (node.type !== 'directory') return {};
    const type = FILE_TYPES.directory.entry;
    const listed = [...node.entries].map(([name, entry]) => ({ name, inode: numbers.get(entry)!, type: FILE_TYPES[entry.type].entry }));
    const own = [{ name: '.', inode: numbers.get(node)!, type }, { name: '..', inode: numbers.get(parents.get(node) ?? node)!, type }];
    return { content: await this.store(writeDirectory([...own, ...listed])) };
  }

  /** Bitmaps, group descriptors and the superblock. All used blocks, and all used inodes, are one run from the first. */
  async #writeUse(inodeEnd: number, directoriesByGroup: readonly number[], journalInode: Uint8Array): Promise<void> {
    const layout = this.#layout;
    const usedIn = (group: number, size: number, end: number): number => Math.min(size, Math.max(0, end - group * size));
    const groups: GroupUse[] = [];
    const blockBitmaps = Buffer.alloc(layout.groupCount * BLOCK_BYTES);
    const inodeBitmaps = Buffer.alloc(layout.groupCount * BLOCK_BYTES);
    for (const [group, directories] of directoriesByGroup.entries()) {
      const blocks = usedIn(group, BLOCKS_PER_GROUP, this.#nextBlock);
      const inodes = usedIn(group, INODES_PER_GROUP, inodeEnd);
      groups.push({ freeBlocks: BLOCKS_PER_GROUP - blocks, freeInodes: INODES_PER_GROUP - inodes, directories });
      setBits(blockBitmaps.subarray(group * BLOCK_BYTES, (group + 1) * BLOCK_BYTES), 0, blocks);
      const inodeBitmap = inodeBitmaps.subarray(group * BLOCK_BYTES, (group + 1) * BLOCK_BYTES);
      setBits(inodeBitmap, 0, inodes);
      // The rest of the block stands for no inodes and counts as used.
      setBits(inodeBitmap, INODES_PER_GROUP, 8 * BLOCK_BYTES);
    }
    await this.#write(layout.blockBitmapsBlock * BLOCK_BYTES, blockBitmaps);
    await this.#write(layout.inodeBitmapsBlock * BLOCK_BYTES, inodeBitmaps);
    await this.#write(layout.descriptorsBlock * BLOCK_BYTES, writeDescriptors(layout, groups));
    const state = { freeBlocks: layout.blockCount - this.#nextBlock, freeInodes: layout.inodeCount - inodeEnd, journalInode };
    const superblock = writeSuperblock(layout, this.#identity, state);
    await this.#write(SUPERBLOCK_OFFSET, superblock);
  }

  async #write(offsetBytes: number, bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        done += (await this.#handle.write(bytes, done, bytes.length - done, offsetBytes + done)).bytesWritten;
      }
    } catch (error) {
      throw cacheError(error, this.#path);
    }
  }
}

/** A number for each file: the root's and lost+found's are fixed, others follow in the order of the tree. */
function numberInodes(root: DirectoryNode): Map<TreeNode, number> {
  const numbers = new Map<TreeNode, number>([[root, ROOT_INODE], [root.entries.get('lost+found')!, FIRST_INODE]]);
  const visit = (directory: DirectoryNode): void => {
    for (const node of directory.entries.values()) if (!numbers.has(node)) numbers.set(node, FIRST_INODE + numbers.size - 1);
    for (const node of directory.entries.values()) if (node.type === 'directory') visit(node);
  };
  visit(root);
  return numbers;
}

/** How many names lead to each file; for a directory its own `.` and its directories' `..` count too. */
function countLinks(numbers: ReadonlyMap<TreeNode, number>): Map<TreeNode, number> {
  const links = new Map<TreeNode, number>();
  const add = (node: TreeNode, count = 1): void => void links.set(node, (links.get(node) ?? 0) + count);
  for (const node of numbers.keys()) {
    if (node.type !== 'directory') continue;
    add(node, 2);
    for (const entry of node.entries.values()) add(entry.type === 'directory' ? node : entry);
  }
  return links;
}

function parentsOf(root: DirectoryNode): Map<TreeNode, DirectoryNode> {
  const parents = new Map<TreeNode, DirectoryNode>();
  const visit = (directory: DirectoryNode): void => {
    for (const node of directory.entries.values()) {
      if (node.type !== 'directory') continue;
      parents.set(node, directory);
      visit(node);
    }
  };
  visit(root);
  return parents;
}

function setBits(bitmap: Uint8Array, start: number, end: number): void {
  for (let bit = start; bit < end; ) {
    if (bit % 8 === 0 && end - bit >= 8) {
      bitmap[bit >> 3] = 0xff;
      bit += 8;
    } else {
      bitmap[bit >> 3]! |= 1 << (bit % 8);
      bit++;
    }
  }
}
