import type { TreeEntry } from '../debian/deb-file.ts';
import { readDebTree } from '../debian/deb-file.ts';
import { ImageError } from '../image-error.ts';
import type { KernelModule } from './module-set.ts';
import { ModuleSet } from './module-set.ts';

export interface KernelParts {
  /** A bzImage that also boots through PVH. */
  readonly image: Uint8Array;
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
  return { image: image.content, version, modules };
}

/** The program of the package `busybox-static`. */
export async function readBusybox(deb: Uint8Array, label: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const isBusybox = (path: string): boolean => path === 'bin/busybox' || path === 'usr/bin/busybox';
  const entries: TreeEntry[] = await readDebTree(deb, label, { select: isBusybox, signal });
  const busybox = entries.find((entry) => entry.type === 'file');
  if (!busybox) throw new ImageError(`${label} holds no bin/busybox: choose another suite`);
  return busybox.content;
}
