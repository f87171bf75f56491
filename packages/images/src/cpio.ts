import { ImageError } from './image-error.ts';

const MODE = { fifo: 0o010000, 'character-device': 0o020000, directory: 0o040000, 'block-device': 0o060000, file: 0o100000, symlink: 0o120000 } as const;

export interface CpioEntry {
  /** Relative to the root, without a leading slash. */
  readonly path: string;
  readonly type: keyof typeof MODE;
  /** Permission bits. */
  readonly mode: number;
  /** Content of a file, or target of a symlink. */
  readonly content?: Uint8Array | string;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
}

/**
 * A cpio archive in the "new ASCII" format that Linux unpacks as an initramfs (Linux,
 * Documentation/driver-api/early-userspace/buffer-format.rst). All files belong to root and carry no time, so that the
 * same entries give the same bytes. Parents must come before what they hold.
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const chunks: Uint8Array[] = [];
  let inode = 1;
  const add = (path: string, fields: readonly number[], content: Uint8Array): void => {
    const name = Buffer.from(`${path}\0`);
    const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
    // The header and the name together, and the content, end at multiples of four.
    chunks.push(header, name, new Uint8Array(-(header.length + name.length) & 3), content, new Uint8Array(-content.length & 3));
  };
  for (const entry of entries) {
    if (entry.path === '' || /^\/|\0/.test(entry.path)) throw new ImageError(`"${entry.path}" cannot be a path in a cpio archive`);
    const content = typeof entry.content === 'string' ? Buffer.from(entry.content) : (entry.content ?? new Uint8Array(0));
    const links = entry.type === 'directory' ? 2 : 1;
    const name = Buffer.byteLength(entry.path) + 1;
    const device = [entry.deviceMajor ?? 0, entry.deviceMinor ?? 0];
    // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    const mode = MODE[entry.type] | (entry.mode & 0o7777);
    add(entry.path, [inode++, mode, 0, 0, links, 0, content.length, 0, 0, ...device, name, 0], content);
  }
  const trailer = 'TRAILER!!!';
  add(trailer, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, trailer.length + 1, 0], new Uint8Array(0));
  return Buffer.concat(chunks);
}

const HEADER_BYTES = 110;
/** Where the lengths of content and name stand in a header, as eight hexadecimal digits each. */
const SIZE_FIELD = { content: 54, name: 94 } as const;

/** The content of one regular file in an archive of that format; throws when it is not there. */
export function readCpioFile(archive: Uint8Array, path: string): Uint8Array {
  const bytes = Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength);
  const field = (at: number, offset: number) => Number.parseInt(bytes.toString('latin1', at + offset, at + offset + 8), 16);
  for (let at = 0; bytes.toString('latin1', at, at + 6) === '070701'; ) {
    const nameEnd = at + HEADER_BYTES + field(at, SIZE_FIELD.name);
    const start = (nameEnd + 3) & ~3;
    const end = start + field(at, SIZE_FIELD.content);
    if (bytes.toString('utf8', at + HEADER_BYTES, nameEnd - 1) === path) return bytes.subarray(start, end);
    at = (end + 3) & ~3;
  }
  throw new ImageError(`there is no file ${path} in the archive`);
}
