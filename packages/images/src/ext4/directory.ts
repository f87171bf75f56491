import { ImageError } from '../image-error.ts';
import { BLOCK_BYTES } from './layout.ts';

/** One name in a directory; `type` as in `FILE_TYPES`. */
export interface DirectoryEntry {
  readonly name: string;
  readonly inode: number;
  readonly type: number;
}

const HEADER_BYTES = 8;
const NAME_MAX_BYTES = 255;

/** The blocks of a linear directory (ext4, "Linear Directories"); `entries` begins with `.` and `..`. */
export function writeDirectory(entries: readonly DirectoryEntry[]): Uint8Array {
  const blocks: Buffer[] = [];
  let block = Buffer.alloc(BLOCK_BYTES);
  let offset = 0;
  let lastOffset = 0;
  const finishBlock = (): void => {
    // The last entry reaches to the end of its block.
    block.writeUInt16LE(BLOCK_BYTES - lastOffset, lastOffset + 4);
    blocks.push(block);
  };
  for (const { name, inode, type } of entries) {
    const bytes = Buffer.from(name);
    if (bytes.length === 0 || bytes.length > NAME_MAX_BYTES || /[/\0]/.test(name)) throw new ImageError(`"${name}" cannot be a file's name`);
    const lengthBytes = (HEADER_BYTES + bytes.length + 3) & ~3;
    if (offset + lengthBytes > BLOCK_BYTES) {
      finishBlock();
      block = Buffer.alloc(BLOCK_BYTES);
      offset = 0;
    }
    block.writeUInt32LE(inode, offset);
    block.writeUInt16LE(lengthBytes, offset + 4);
    block.writeUInt8(bytes.length, offset + 6);
    block.writeUInt8(type, offset + 7);
    bytes.copy(block, offset + HEADER_BYTES);
    lastOffset = offset;
    offset += lengthBytes;
  }
  finishBlock();
  return Buffer.concat(blocks);
}
