import { ImageError } from '../image-error.ts';
import type { DebianPackage, PackagesIndex } from '../debian/packages-index.ts';
import type { Suggest } from '../debian/resolve.ts';
import { resolveClosure } from '../debian/resolve.ts';

/** As in any installation of Debian. */
const PRIORITIES = ['required', 'important'];

/** What makes it a machine: a kernel with what makes its initramfs, systemd with its bus and sessions, ssh, and what keeps its clock. */
const SYSTEM = ['linux-image-cloud-amd64', 'initramfs-tools', 'systemd-sysv', 'dbus', 'libpam-systemd', 'openssh-server', 'usr-is-merged', 'chrony'];

/** Names of packages that say which system it is: with other ones the packages are chosen anew. */
export const namedPackages = (added: readonly string[]): string[] => [...SYSTEM, ...added];

/** Names of the packages that somebody asked for; all others are there because these need them. */
export function askedPackages(index: PackagesIndex, added: readonly string[]): string[] {
  return [...new Set([...PRIORITIES.flatMap((priority) => index.namesOfPriority(priority)), ...namedPackages(added)])];
}

/** All packages of a Debian system with `added`. */
export function choosePackages(index: PackagesIndex, added: readonly string[], suggest?: Suggest): DebianPackage[] {
  return resolveClosure(index, askedPackages(index, added), suggest);
}

/** The kernel that the metapackage stands for. */
export function kernelOf(packages: readonly DebianPackage[]): DebianPackage {
  const names = packages.find(({ name }) => name === 'linux-image-cloud-amd64')?.depends.flat().map(({ name }) => name);
  const kernel = packages.find(({ name }) => names?.includes(name) && /^linux-image-\d/.test(name));
  if (!kernel) throw new ImageError('linux-image-cloud-amd64 names no kernel: choose another suite or mirror');
  return kernel;
}
