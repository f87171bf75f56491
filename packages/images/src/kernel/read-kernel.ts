import type { TreeEntry } from '../debian/deb-file.ts';
import { readDebTree } from '../debian/deb-file.ts';
import { ImageError } from '../image-error.ts';
import type { KernelModule } from './module-set.ts';
import { ModuleSet } from './module-set.ts';
import { unpackKernel } from './unpack-kernel.ts';

const KERNEL_FILES = ['vmlinux', 'vmlinuz'] as const;

export interface KernelParts {
  /** Unpacked, for PVH, or a bzImage where that cannot be. */
  readonly image: Uint8Array;
  /** What the image is called in a directory of files to boot from. */
  readonly fileName: (typeof KERNEL_FILES)[number];
  readonly version: string;
  readonly modules: readonly KernelModule[];
}

/** A kernel package's kernel, and the modules of these names with what they need, in load order. */
export async function readKernel(deb: Uint8Array, label: string, moduleNames: readonly string[], signal: AbortSignal | undefined): Promise<KernelParts> {
  // What the wanted modules need is known only after reading: take all.
  const select = (path: string): boolean => /(^|\/)boot\/vmlinuz-[^/]+$/.test(path) || /\/modules\.builtin$/.test(path) || /\.ko(\.(xz|gz|zst))?$/.test(path);
  const entries = await readDebTree(deb, label, { select, signal });
  const image = entries.find((entry) => /(^|\/)vmlinuz-[^/]+$/.test(entry.path) && entry.type === 'file');
  if (!image) throw new ImageError(`${label} holds no boot/vmlinuz: choose another kernel`);
  const version = image.path.slice(image.path.lastIndexOf('vmlinuz-') + 'vmlinuz-'.length);
  const builtin = entries.find((entry) => entry.path.endsWith('/modules.builtin'));
  const set = new ModuleSet(entries, Buffer.from(builtin?.content ?? []).toString('latin1'));
  const modules = (await set.inLoadOrder(moduleNames)).map((module) => ({ ...module, path: module.path.replace(/^usr\//, '') }));
  const unpacked = await unpackKernel(image.content, { label, signal });
  return { image: unpacked ?? image.content, fileName: unpacked ? 'vmlinux' : 'vmlinuz', version, modules };
}

/** The path of the kernel among files to boot from, by name. */
export function kernelPath(files: ReadonlyMap<string, string>): string {
  return files.get(KERNEL_FILES.find((name) => files.has(name))!)!;
}

/** The program of the package `busybox-static`. */
export async function readBusybox(deb: Uint8Array, label: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const isBusybox = (path: string): boolean => path === 'bin/busybox' || path === 'usr/bin/busybox';
  const entries: TreeEntry[] = await readDebTree(deb, label, { select: isBusybox, signal });
  const busybox = entries.find((entry) => entry.type === 'file');
  if (!busybox) throw new ImageError(`${label} holds no bin/busybox: choose another suite`);
  return busybox.content;
}
