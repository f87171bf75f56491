import { readFileSync } from 'node:fs';
import { cachedDataVersionTag } from 'node:v8';
import { crc32 } from 'node:zlib';
import { markUsed } from '../old-files.ts';
import { replaceFile } from '../replace-file.ts';
import { ModuleCode } from './module-code.ts';

const HEADER_BYTES = 12;
/** A file is written anew when there is so much more code than in it. */
const GROWTH = 1.02;

let opened: { readonly moduleCode: ModuleCode | undefined } | undefined;
const moduleCode = () => (opened ??= { moduleCode: ModuleCode.open() }).moduleCode;

/**
 * A module with the machine code that a file keeps for it, behind V8's tag of its version and flags, the CRC-32 of the
 * module and that of the code. Undefined where there is no such file, or it is damaged or has another tag: V8's flags must
 * be those that the code was kept with.
 */
export function moduleWithCode(path: string, bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | undefined {
  try {
    const file = readFileSync(path);
    const code = new Uint8Array(file.subarray(HEADER_BYTES));
    if (!isFor(file, crc32(bytes)) || file.readUInt32LE(8) !== crc32(code)) return undefined;
    markUsed(path);
    return moduleCode()?.deserialize(code, bytes);
  } catch {
    return undefined;
  }
}

/** Keeps the machine code that V8 has made meanwhile for a module, whose bytes have this CRC-32, unless most of it is kept already. */
export function keepCode(path: string, module: WebAssembly.Module, digest: number): void {
  const code = moduleCode()?.serialize(module);
  if (!code?.length || code.length < sizeOf(path, digest) * GROWTH) return;
  const header = Buffer.from(Uint32Array.of(cachedDataVersionTag(), digest, crc32(code)).buffer);
  replaceFile(path, Buffer.concat([header, code]));
}

const isFor = (file: Buffer, digest: number) => file.readUInt32LE(0) === cachedDataVersionTag() && file.readUInt32LE(4) === digest;

/** Of the code that a file keeps for a module, in bytes; 0 where it is for another one. */
function sizeOf(path: string, digest: number): number {
  try {
    const file = readFileSync(path);
    return isFor(file, digest) ? file.length - HEADER_BYTES : 0;
  } catch {
    return 0;
  }
}
