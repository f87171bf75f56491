import { buffer } from 'node:stream/consumers';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { xz } from '@napi-rs/lzma';
import { pack } from 'tar-stream';
import type { Header } from 'tar-stream';
import { sha256Hex } from '../cache.ts';

export type Compression = 'xz' | 'gz' | 'zst' | '';

export type FileSpec = Partial<Header> & { readonly name: string; readonly content?: string | Uint8Array };

export function compressSync(compression: Compression, bytes: Uint8Array): Uint8Array {
  if (compression === 'xz') return xz.compressSync(bytes);
  if (compression === 'gz') return gzipSync(bytes);
  return compression === 'zst' ? zstdCompressSync(bytes) : bytes;
}

export async function makeTar(files: readonly FileSpec[]): Promise<Uint8Array> {
  const archive = pack();
  const bytes = buffer(archive);
  for (const { content, ...header } of files) archive.entry(header, content);
  archive.finalize();
  return await bytes;
}

export function makeAr(members: readonly { name: string; content: Uint8Array }[]): Uint8Array {
  const chunks: Uint8Array[] = [Buffer.from('!<arch>\n')];
  for (const { name, content } of members) {
    const header = `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}${String(content.length).padEnd(10)}\`\n`;
    chunks.push(Buffer.from(header), content, Buffer.from(content.length % 2 ? '\n' : ''));
  }
  return Buffer.concat(chunks);
}

export async function makeDeb(files: readonly FileSpec[], compression: Compression = 'xz', controlFiles: Readonly<Record<string, string>> = { control: 'Package: fixture\n' }): Promise<Uint8Array> {
  const suffix = compression === '' ? '' : `.${compression}`;
  const control = await makeTar(Object.entries(controlFiles).map(([name, content]) => ({ name: `./${name}`, content })));
  return makeAr([
    { name: 'debian-binary', content: Buffer.from('2.0\n') },
    { name: `control.tar${suffix}`, content: compressSync(compression, control) },
    { name: `data.tar${suffix}`, content: compressSync(compression, await makeTar(files)) },
  ]);
}

/** A 64-bit ELF object with nothing but a `.modinfo` section. */
export function makeModule(info: Readonly<Record<string, string>>, bits: 32 | 64 = 64): Uint8Array {
  const modinfo = Buffer.from(Object.entries(info).map(([key, value]) => `${key}=${value}\0`).join(''), 'latin1');
  const names = Buffer.from('\0.modinfo\0.shstrtab\0');
  const [headerBytes, sectionBytes, countOffset] = bits === 64 ? [64, 64, 0x3c] : [52, 40, 0x30];
  const tableOffset = headerBytes + modinfo.length + names.length;
  const elf = Buffer.alloc(tableOffset + 3 * sectionBytes);
  const word = (value: number, at: number) => (bits === 64 ? elf.writeBigUInt64LE(BigInt(value), at) : elf.writeUInt32LE(value, at));
  elf.write(`\x7fELF${bits === 64 ? '\x02' : '\x01'}\x01\x01`, 'latin1');
  modinfo.copy(elf, headerBytes);
  names.copy(elf, headerBytes + modinfo.length);
  word(tableOffset, bits === 64 ? 0x28 : 0x20);
  for (const [value, at] of [[sectionBytes, -2], [3, 0], [2, 2]] as const) elf.writeUInt16LE(value, countOffset + at);
  const section = (index: number, name: number, start: number, size: number): void => {
    const at = tableOffset + index * sectionBytes;
    elf.writeUInt32LE(name, at);
    word(start, at + (bits === 64 ? 0x18 : 0x10));
    word(size, at + (bits === 64 ? 0x20 : 0x14));
  };
  section(1, 1, headerBytes, modinfo.length);
  section(2, 10, headerBytes + modinfo.length, names.length);
  return elf;
}

export interface PackageSpec {
  readonly name: string;
  readonly version?: string;
  readonly depends?: string;
  readonly provides?: string;
  readonly conflicts?: string;
  readonly breaks?: string;
  readonly priority?: string;
  readonly deb?: Uint8Array;
}

/** The text of a `Packages` file, and the packages by path. */
export function makePackages(specs: readonly PackageSpec[]): { text: string; files: Map<string, Uint8Array> } {
  const files = new Map<string, Uint8Array>();
  const stanzas = specs.map(({ name, version = '1', deb = Buffer.from(name), ...fields }) => {
    const path = `pool/${name}_1.deb`;
    files.set(path, deb);
    const optional = Object.entries(fields).map(([field, value]) => `${field[0]!.toUpperCase()}${field.slice(1)}: ${value}\n`).join('');
    return `Package: ${name}\nVersion: ${version}\n${optional}Filename: ${path}\nSize: ${deb.length}\nSHA256: ${sha256Hex(deb)}\n`;
  });
  return { text: stanzas.join('\n'), files };
}

export interface Signer {
  readonly publicKey: string;
  sign(text: string): Promise<string>;
}

export async function makeSigner(): Promise<Signer> {
  const { createCleartextMessage, generateKey, readPrivateKey, sign } = await import('openpgp');
  const { privateKey, publicKey } = await generateKey({ type: 'ecc', userIDs: [{ name: 'Fixture' }], format: 'armored' });
  const signingKeys = await readPrivateKey({ armoredKey: privateKey });
  return { publicKey, sign: async (text) => await sign({ message: await createCleartextMessage({ text }), signingKeys }) };
}

/** The signed release file of a mirror whose only index is `Packages.xz`, and that index. */
async function makeRelease(packagesText: string, signer: Signer, architecture: string): Promise<Map<string, Uint8Array>> {
  const index = compressSync('xz', Buffer.from(packagesText));
  const line = ` ${sha256Hex(index)} ${index.length} main/binary-${architecture}/Packages.xz`;
  const release = `Suite: stable\nCodename: bookworm\nSHA256:\n${line}\n`;
  return new Map([
    ['dists/bookworm/InRelease', Buffer.from(await signer.sign(release))],
    [`dists/bookworm/main/binary-${architecture}/Packages.xz`, index],
  ]);
}

/** A package, with the stanza of the index that belongs to its own. */
export async function makePackage(name: string, files: readonly FileSpec[], fields: Omit<PackageSpec, 'name' | 'deb'> = {}, controlFiles: Readonly<Record<string, string>> = {}): Promise<PackageSpec> {
  const control = `Package: ${name}\nVersion: ${fields.version ?? '1'}\nArchitecture: amd64\nDescription: ${name}\n`;
  return { name, ...fields, deb: await makeDeb(files, 'zst', { control, ...controlFiles }) };
}

/** A whole small mirror with what the image `debian` is made from. */
export async function makeDebianMirror(signer: Signer, more: readonly PackageSpec[] = [], kernel: string | Uint8Array = 'a kernel'): Promise<Map<string, Uint8Array>> {
  const module = (name: string): FileSpec => ({ name: `./lib/modules/6.9-test/kernel/${name}.ko`, content: makeModule({ name, depends: '' }) });
  const kernelFiles = [{ name: './boot/vmlinuz-6.9-test', content: kernel }, { name: './lib/modules/6.9-test/modules.builtin', content: 'kernel/fs/ext4/ext4.ko\n' }];
  const plain = ['initramfs-tools', 'systemd-sysv', 'dbus', 'libpam-systemd', 'openssh-server', 'usr-is-merged', 'chrony'];
  const specs = [
    await makePackage('base-files', [{ name: './bin/', type: 'directory' }, { name: './tmp/', type: 'directory', mode: 0o1777 }], { priority: 'required' }),
    await makePackage('mount', [{ name: './bin/mount', mode: 0o4755, content: 'mount' }], { priority: 'important', depends: 'libmount' }, { preinst: '#!/bin/sh\n' }),
    await makePackage('libmount', [{ name: './usr/lib/libmount', mode: 0o640, gid: 8, content: 'library' }]),
    await makePackage('linux-image-cloud-amd64', [], { depends: 'linux-image-6.9-test (= 1)' }),
    await makePackage('linux-image-6.9-test', [...kernelFiles, ...['virtio_pci', 'virtio_blk', 'virtio_console'].map(module)]),
    await makePackage('busybox-static', [{ name: './bin/busybox', mode: 0o755, content: 'no program' }]),
    ...(await Promise.all(plain.map(async (name) => await makePackage(name, [])))),
    ...more,
  ];
  const { text, files } = makePackages(specs);
  return new Map([...files, ...(await makeRelease(text, signer, 'amd64'))]);
}

/** A whole small mirror with what the image `tiny` is made from. */
export async function makeTinyMirror(signer: Signer, architecture: 'amd64' | 'i386' = 'amd64', image: string | Uint8Array = 'a kernel'): Promise<Map<string, Uint8Array>> {
  const modules = 'lib/modules/6.9-test/kernel/drivers';
  const module = (name: string, depends: string, compression: Compression = ''): FileSpec => ({
    name: `./${modules}/${name.replace('virtio_rng', 'virtio-rng')}.ko${compression && `.${compression}`}`,
    content: compressSync(compression, makeModule({ name, depends, alias: `virtio:${name}` }, architecture === 'i386' ? 32 : 64)),
  });
  const kernel = await makeDeb([
    { name: './boot/vmlinuz-6.9-test', content: image },
    { name: './lib/modules/6.9-test/modules.builtin', content: 'kernel/fs/ext4/ext4.ko\n' },
    module('virtio_console', 'virtio,virtio_ring', 'xz'),
    module('virtio_blk', 'virtio,virtio_ring'),
    module('virtio_net', 'virtio_ring,virtio'),
    module('virtio_rng', 'virtio'),
    module('overlay', ''),
    module('virtio_pci', 'virtio,virtio_ring', 'zst'),
    module('virtio', 'virtio_ring'),
    module('virtio_ring', ''),
    module('unwanted', ''),
  ]);
  const { text, files } = makePackages([
    { name: architecture === 'i386' ? 'linux-image-686' : 'linux-image-cloud-amd64', depends: 'linux-image-6.9-test (= 1)' },
    { name: 'linux-image-6.9-test', deb: kernel, depends: 'kmod' },
    { name: 'busybox-static', deb: await makeDeb([{ name: './bin/busybox', mode: 0o755, content: 'no program' }], 'zst') },
  ]);
  return new Map([...files, ...(await makeRelease(text, signer, architecture))]);
}
