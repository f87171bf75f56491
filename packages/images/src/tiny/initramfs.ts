import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CpioEntry } from '../cpio.ts';
import type { KernelModule } from '../kernel/module-set.ts';
import { moduleIndexes } from '../kernel/module-set.ts';
import { withoutSignature } from '../kernel/module-signature.ts';

/** Makes the machine's other devices appear. */
const BASE_MODULES = ['virtio_pci'];

/** Drivers by the virtio device ID that they serve (virtio 1.2 §5). */
const DRIVERS: readonly (readonly [id: string, module: string])[] = [
  ['0x0001', 'virtio_net'],
  ['0x0002', 'virtio_blk'],
  ['0x0003', 'virtio_console'],
  ['0x0004', 'virtio_rng'],
];

/** Not loaded at boot; `modprobe` and `mount` find them. */
const EXTRA_MODULES = ['ext4', 'overlay'];

export const TINY_MODULES: readonly string[] = [...BASE_MODULES, ...DRIVERS.map(([, module]) => module), ...EXTRA_MODULES];

const DIRECTORIES = 'bin dev etc etc/dev etc/dev/pts etc/dev/shm lib lib/modules mnt proc root run sbin sys sys/fs tmp usr usr/bin usr/sbin var';

/** devtmpfs does not make these. */
const STREAM_LINKS = [
  ['fd', '/proc/self/fd'],
  ['stdin', 'fd/0'],
  ['stdout', 'fd/1'],
  ['stderr', 'fd/2'],
] as const;

const FSTAB = `sysfs /sys sysfs nosuid,nodev,noexec 0 0
devpts /dev/pts devpts gid=5,mode=620,ptmxmode=666 0 0
tmpfs /dev/shm tmpfs nosuid,nodev 0 0
tmpfs /run tmpfs nosuid,nodev,mode=755 0 0
cgroup2 /sys/fs/cgroup cgroup2 nosuid,nodev,noexec 0 0
`;

/** What /init needs before /proc is there and busybox can install the rest. */
const EARLY_APPLETS = ['bin/sh', 'bin/cp', 'bin/mount'];

export interface TinyParts {
  readonly busybox: Uint8Array;
  /** Paths of busybox's programs, e.g. `usr/bin/awk`; without them /init installs them at each boot. */
  readonly applets: readonly string[] | undefined;
  /** In load order. */
  readonly modules: readonly KernelModule[];
  readonly kernelVersion: string;
  readonly init: string;
  readonly profile: string;
}

/** The entries of the initramfs. */
export function tinyEntries(parts: TinyParts): CpioEntry[] {
  const moduleDirectory = `lib/modules/${parts.kernelVersion}`;
  const directories = new Set(DIRECTORIES.split(' '));
  const moduleFiles = parts.modules.map((module): CpioEntry => ({ path: module.path, type: 'file', mode: 0o644, content: withoutSignature(module.content) }));
  for (const { path } of moduleFiles) for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) directories.add(path.slice(0, at));
  const indexes = moduleIndexes(parts.modules, (path) => path.slice(moduleDirectory.length + 1));
  const file = (path: string, content: Uint8Array | string, mode = 0o644): CpioEntry => ({ path, type: 'file', mode, content });
  const taken = new Set(['bin/busybox', 'init', ...directories]);
  const applets = (parts.applets ?? EARLY_APPLETS).filter((path) => !taken.has(path) && directories.has(path.slice(0, path.lastIndexOf('/'))));
  return [
    ...[...directories].map((path): CpioEntry => ({ path, type: 'directory', mode: path === 'root' ? 0o700 : path === 'tmp' ? 0o1777 : 0o755 })),
    // The kernel opens it for /init before anything is mounted.
    { path: 'dev/console', type: 'character-device', mode: 0o600, deviceMajor: 5, deviceMinor: 1 },
    ...STREAM_LINKS.map(([name, target]): CpioEntry => ({ path: `etc/dev/${name}`, type: 'symlink', mode: 0o777, content: target })),
    file('init', parts.init, 0o755),
    file('bin/busybox', parts.busybox, 0o755),
    ...applets.map((path): CpioEntry => ({ path, type: 'symlink', mode: 0o777, content: '/bin/busybox' })),
    ...(parts.applets ? [] : [file('etc/install-applets', '')]),
    file('etc/fstab', FSTAB),
    file('etc/group', 'root:x:0:\ntty:x:5:\n'),
    file('etc/hostname', 'hanok\n'),
    file('etc/hosts', '127.0.0.1 localhost hanok\n'),
    file('etc/modules', loadList(parts.modules)),
    file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'),
    file('etc/profile', parts.profile),
    ...moduleFiles,
    file(`${moduleDirectory}/modules.dep`, indexes.dep),
    file(`${moduleDirectory}/modules.alias`, indexes.alias),
  ];
}

/** The content of /etc/modules; its form is told in init.sh. */
function loadList(modules: readonly KernelModule[]): string {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const listed = new Map<string, string>();
  const add = (name: string, when: string): void => {
    const module = byName.get(name);
    const known = listed.get(name);
    if (!module || known === '-' || known === when) return;
    for (const dependency of module.depends) add(dependency, when);
    listed.set(name, when);
  };
  for (const name of BASE_MODULES) add(name, '-');
  for (const [id, name] of DRIVERS) add(name, id);
  return [...listed].map(([name, when]) => `${when} /${byName.get(name)!.path}\n`).join('');
}

/** What `busybox --list-full` prints, or undefined when this computer cannot run the guest's busybox. */
export async function listApplets(busybox: Uint8Array, signal?: AbortSignal): Promise<string[] | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'hanok-busybox-'));
  try {
    const program = join(directory, 'busybox');
    await writeFile(program, busybox);
    await chmod(program, 0o700);
    const output = await new Promise<string>((resolve) => {
      const options = { timeout: 10_000, maxBuffer: 1 << 20, env: {}, ...(signal ? { signal } : {}) };
      execFile(program, ['--list-full'], options, (error, stdout) => resolve(error ? '' : stdout));
    });
    signal?.throwIfAborted();
    const paths = output.split('\n').filter((path) => /^(usr\/)?s?bin\/[\w.[-]+$/.test(path));
    return paths.length > 0 ? paths : undefined;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
