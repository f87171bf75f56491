import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { ImageError, messageOf } from '../image-error.ts';
import { decompress } from './decompress.ts';

const AR_MAGIC = '!<arch>\n';
const AR_HEADER_BYTES = 60;

/** A member of an `ar` archive. */
export interface ArMember {
  readonly name: string;
  readonly content: Uint8Array;
}

/** Reads an `ar` archive in the common format that deb(5) uses. Throws an `ImageError` when it is malformed. */
export function readAr(bytes: Uint8Array, label: string): ArMember[] {
  const text = (start: number, end: number): string => Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
  const damaged = (what: string): ImageError => new ImageError(`${label} is not a Debian package: ${what}`);
  if (bytes.length < AR_MAGIC.length || text(0, AR_MAGIC.length) !== AR_MAGIC) throw damaged('it is no ar archive');
  const members: ArMember[] = [];
  for (let offset = AR_MAGIC.length; offset < bytes.length; ) {
    if (offset + AR_HEADER_BYTES > bytes.length) throw damaged('a member header is cut off');
    const size = text(offset + 48, offset + 58).trim();
    if (text(offset + 58, offset + 60) !== '`\n' || !/^\d{1,10}$/.test(size)) throw damaged('a member header is malformed');
    const start = offset + AR_HEADER_BYTES;
    const end = start + Number(size);
    if (end > bytes.length) throw damaged('a member is cut off');
    members.push({ name: text(offset, offset + 16).trim().replace(/\/$/, ''), content: bytes.subarray(start, end) });
    // Members start at even offsets.
    offset = end + (end & 1);
  }
  return members;
}

/** One entry of a package's file tree. `path` is relative, without `./`, and never leads upward. */
export interface TreeEntry {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'link' | 'character-device' | 'block-device' | 'fifo';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  /** Of a symlink as it stands; of a hard link, the path of an earlier entry. */
  readonly linkTarget: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly content: Uint8Array;
}

export interface ReadTreeOptions {
  /** Which entries to give; all by default. What is left out costs no memory. */
  readonly select?: (path: string) => boolean;
  readonly signal?: AbortSignal | undefined;
}

/** The file tree (`data.tar`) of a package, in its order. */
export async function readDebTree(deb: Uint8Array, label: string, options: ReadTreeOptions = {}): Promise<TreeEntry[]> {
  return await readTar(await memberTar(deb, 'data.tar', label, options.signal), label, options);
}

/** The control archive of a package: `control`, `postinst` and so on. */
export async function readDebControl(deb: Uint8Array, label: string): Promise<Map<string, Uint8Array>> {
  const entries = await readTar(await memberTar(deb, 'control.tar', label), label, {});
  return new Map(entries.filter((entry) => entry.type === 'file').map((entry) => [entry.path, entry.content]));
}

async function memberTar(deb: Uint8Array, prefix: string, label: string, signal?: AbortSignal): Promise<Uint8Array> {
  const members = readAr(deb, label);
  const version = members[0];
  if (version?.name !== 'debian-binary' || !Buffer.from(version.content).toString('latin1').startsWith('2.')) {
    throw new ImageError(`${label} is not a Debian package of format 2: get it from a Debian mirror`);
  }
  const member = members.find(({ name }) => name === prefix || name.startsWith(`${prefix}.`));
  if (!member) throw new ImageError(`${label} is not a Debian package: it has no ${prefix}`);
  if (!/\.tar(\.(xz|gz|zst))?$/.test(member.name)) throw new ImageError(`${label}: ${member.name} has a compression that is not supported`);
  return await decompress(member.name, member.content, { signal });
}

const TYPES: Readonly<Record<string, TreeEntry['type']>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
  symlink: 'symlink',
  link: 'link',
  'character-device': 'character-device',
  'block-device': 'block-device',
  fifo: 'fifo',
};

/** Reads a tar archive (POSIX.1-1988 ustar, pax and GNU long names). */
async function readTar(tar: Uint8Array, label: string, options: ReadTreeOptions): Promise<TreeEntry[]> {
  const entries: TreeEntry[] = [];
  const parser = extract();
  const source = Readable.from(slices(tar), { objectMode: false });
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  try {
    for await (const entry of parser) {
      options.signal?.throwIfAborted();
      const { header } = entry;
      const type = TYPES[header.type ?? 'file'];
      const path = safePath(header.name);
      if (type === undefined || path === undefined || (type === 'link' && safePath(header.linkname ?? '') === undefined)) {
        throw new Error(`entry "${header.name}" has an unknown type or leads outside the package`);
      }
      if (options.select && !options.select(path)) {
        entry.resume();
        continue;
      }
      const chunks: Uint8Array[] = [];
      for await (const chunk of entry) chunks.push(chunk);
      entries.push({
        path,
        type,
        mode: (header.mode ?? 0) & 0o7777,
        uid: header.uid ?? 0,
        gid: header.gid ?? 0,
        mtimeSeconds: Math.floor((header.mtime?.getTime() ?? 0) / 1000),
        linkTarget: type === 'link' ? safePath(header.linkname ?? '')! : (header.linkname ?? ''),
        deviceMajor: header.devmajor ?? 0,
        deviceMinor: header.devminor ?? 0,
        content: Buffer.concat(chunks),
      });
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new ImageError(`${label} has a damaged file archive: ${messageOf(error)}`, error);
  }
  return entries;
}

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += 1 << 18) yield bytes.subarray(offset, offset + (1 << 18));
}

/** The path without `./` and a trailing slash (the root is ''), or undefined when it could lead outside. */
function safePath(name: string): string | undefined {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (name.startsWith('/') || name.includes('\0') || parts.includes('..')) return undefined;
  return parts.join('/');
}
