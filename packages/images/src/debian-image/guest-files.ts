import { readFile } from 'node:fs/promises';

/** A file that Hanok adds to the system. */
export interface GuestFile {
  /** Without a leading slash. */
  readonly path: string;
  readonly content: string | Uint8Array | { readonly link: string };
  readonly mode?: number;
}

/** Drivers that the root file system's disk needs, for initramfs-tools. */
const DISK_MODULES = 'virtio_pci virtio_blk';

/** What makes a Debian system one that boots here; everything else is as its packages have it. */
const FILES: readonly GuestFile[] = [
  { path: 'etc/hostname', content: 'debian\n' },
  { path: 'etc/hosts', content: '127.0.0.1\tlocalhost\n127.0.1.1\tdebian\n\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n' },
  { path: 'etc/fstab', content: '# <file system> <mount point> <type> <options> <dump> <pass>\n/dev/vda / ext4 defaults,errors=remount-ro 0 1\n' },
  { path: 'etc/default/locale', content: 'LANG=C.UTF-8\n' },
  { path: 'etc/network/interfaces', content: 'auto lo\niface lo inet loopback\n\nsource /etc/network/interfaces.d/*\n' },
  { path: 'etc/systemd/system/default.target', content: { link: '/usr/lib/systemd/system/multi-user.target' } },
  // The console of a machine is its owner's.
  {
    path: 'etc/systemd/system/serial-getty@hvc0.service.d/hanok.conf',
    content: '[Unit]\nConditionPathExists=!/run/hanok/command\n\n[Service]\nPassEnvironment=TERM\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200,57600,38400,9600 - $TERM\n',
  },
  // systemd looks for it before its driver is loaded.
  { path: 'etc/udev/rules.d/90-hanok.rules', content: 'SUBSYSTEM=="tty", KERNEL=="hvc0", ENV{SYSTEMD_WANTS}+="serial-getty@hvc0.service"\n' },
  // Kernel messages are there; the machine's owner is at hvc0.
  { path: 'etc/systemd/system/serial-getty@ttyS0.service', content: { link: '/dev/null' } },
  // Each clone has keys of its own, made at its first boot; one kind is enough and soon made.
  { path: 'etc/ssh/sshd_config.d/hanok.conf', content: 'HostKey /etc/ssh/ssh_host_ed25519_key\n' },
  {
    path: 'etc/systemd/system/hanok-ssh-key.service',
    content:
      '[Unit]\nDescription=Host key of the SSH server\nBefore=ssh.service\nConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n\n' +
      '[Service]\nType=oneshot\nExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key\n\n[Install]\nWantedBy=multi-user.target\n',
  },
  { path: 'etc/systemd/system/multi-user.target.wants/hanok-ssh-key.service', content: { link: '/etc/systemd/system/hanok-ssh-key.service' } },
  {
    path: 'etc/systemd/system/hanok-command.service',
    content:
      '[Unit]\nDescription=Command of this run\nConditionPathExists=/run/hanok/command\nAfter=multi-user.target\n\n' +
      '[Service]\nDelegate=yes\nStandardInput=null\nPassEnvironment=TERM\nEnvironment=HOME=/root LANG=C.UTF-8\nExecStart=/usr/local/lib/hanok/run-command\n\n[Install]\nWantedBy=multi-user.target\n',
  },
  { path: 'etc/systemd/system/multi-user.target.wants/hanok-command.service', content: { link: '/etc/systemd/system/hanok-command.service' } },
  // Linux sets its clock from one that counts seconds; the module ptp_kvm reads the host's. A plain processor (--no-paravirt) has none.
  { path: 'etc/chrony/hanok.conf', content: 'include /etc/chrony/chrony.conf\nrefclock PHC /dev/ptp0 poll 2 dpoll -1\nmakestep 0.005 3\n' },
  { path: 'etc/chrony/hanok.environment', content: 'DAEMON_OPTS="-F 1 -f /etc/chrony/hanok.conf"\n' },
  {
    path: 'etc/systemd/system/chrony.service.d/hanok.conf',
    content:
      '[Unit]\nWants=modprobe@ptp_kvm.service\nAfter=modprobe@ptp_kvm.service\nConditionPathExists=/dev/ptp0\n\n' +
      '[Service]\nEnvironmentFile=/etc/chrony/hanok.environment\n',
  },
  // Little is compressed, and that fast: the host keeps it uncompressed.
  { path: 'etc/initramfs-tools/conf.d/hanok', content: 'MODULES=list\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\nFSTYPE=ext4\nRESUME=none\n' },
  {
    path: 'etc/initramfs-tools/hooks/hanok',
    mode: 0o755,
    content: `#!/bin/sh\n[ "$1" = prereqs ] && exit 0\n. /usr/share/initramfs-tools/hook-functions\nmanual_add_modules ${DISK_MODULES}\n`,
  },
  // A command comes in an archive beside the initramfs; /run is what the system finds of it. klibc's tools have no cp.
  {
    path: 'etc/initramfs-tools/scripts/init-premount/hanok',
    mode: 0o755,
    content: '#!/bin/sh\n[ "$1" = prereqs ] && exit 0\n[ -f /run-command ] || exit 0\nmkdir -p /run/hanok\ncat /run-command >/run/hanok/command\n',
  },
];

/** The files that are the same whichever mirror the packages came from. */
export async function guestFiles(): Promise<GuestFile[]> {
  const runCommand = await readFile(new URL('./guest/run-command.sh', import.meta.url), 'utf8');
  return [...FILES, { path: 'usr/local/lib/hanok/run-command', content: runCommand, mode: 0o755 }];
}

/** Where the guest's apt gets packages: the mirror that this system's own came from. */
export function sourcesList(mirror: string, suite: string): GuestFile {
  const content = [suite, `${suite}-updates`].map((name) => `deb ${mirror} ${name} main\n`).join('');
  return { path: 'etc/apt/sources.list', content };
}
