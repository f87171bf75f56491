import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { ArchivePart } from '@hanok/emulator';
import { moduleWithCode } from './machine-code/code-file.ts';
import type { RegionFile } from './region-file.ts';
import { markUsed } from './old-files.ts';
import { replaceFile } from './replace-file.ts';
import { setArchiveFlags } from './v8-flags.ts';

const HEADER_BYTES = 16;
/** What follows the parts that have files gets one of its own once it is this part of them, or so large. */
const GROWTH = 0.25;
const PART_BYTES = 2 ** 20;

/** Regions of an archive as a module. */
export interface KeptPart extends ArchivePart {
  /** Of the module's bytes. */
  readonly sizeBytes: number;
  readonly digest: number;
  /** Where its machine code is to be kept; undefined where the next machine will have more regions in it. */
  readonly codePath: string | undefined;
}

/** Files beside an archive's: a part's module behind its CRC-32, the numbers of its first region and the one after its last, and a digest of them; and its machine code. */
const modulePath = (path: string, number: number) => `${path}.${number}`;
const codePath = (path: string, number: number) => `${path}.${number}.code`;

/** The modules of an archive that the file at `path` keeps. Most were written by earlier machines, with machine code. */
export function openParts(path: string, file: RegionFile): KeptPart[] {
  setArchiveFlags();
  const { archive } = file;
  const parts: KeptPart[] = [];
  let first = 0;
  for (let part = read(path, file, 0, 0); part; part = read(path, file, parts.length, first)) {
    first += part.regionCount;
    parts.push(part);
  }
  if (first < archive.regionCount) parts.push(compile(path, file, parts, first));
  archive.dropCode();
  return parts;
}

function read(path: string, { archive, digests }: RegionFile, number: number, first: number): KeptPart | undefined {
  try {
    const file = readFileSync(modulePath(path, number));
    const bytes = new Uint8Array(file.subarray(HEADER_BYTES));
    const end = file.readUInt32LE(8);
    if (file.readUInt32LE(0) !== crc32(bytes) || file.readUInt32LE(4) !== first || end <= first || end > archive.regionCount) return undefined;
    if (file.readUInt32LE(12) !== digestOf(digests, first, end)) return undefined;
    markUsed(modulePath(path, number));
    return makePart(bytes, end - first, codePath(path, number));
  } catch {
    return undefined;
  }
}

/** Tells regions of an archive from others. */
const digestOf = (digests: readonly number[], first: number, end: number) => crc32(new Uint8Array(Uint32Array.from(digests.slice(first, end)).buffer));

/** Compiles the regions behind the last part. */
function compile(path: string, { archive, digests }: RegionFile, before: readonly KeptPart[], first: number): KeptPart {
  const end = archive.regionCount;
  const bytes = archive.writePart(first, end);
  const keptBytes = before.reduce((sum, part) => sum + part.sizeBytes, 0);
  const isKept = bytes.length >= Math.min(PART_BYTES, keptBytes * GROWTH);
  if (isKept) replaceFile(modulePath(path, before.length), Buffer.concat([Buffer.from(Uint32Array.of(crc32(bytes), first, end, digestOf(digests, first, end)).buffer), bytes]));
  return makePart(bytes, end - first, isKept ? codePath(path, before.length) : undefined);
}

function makePart(bytes: Uint8Array<ArrayBuffer>, regionCount: number, code: string | undefined): KeptPart {
  const module = (code === undefined ? undefined : moduleWithCode(code, bytes)) ?? new WebAssembly.Module(bytes);
  return { module, regionCount, sizeBytes: bytes.length, digest: crc32(bytes), codePath: code };
}
