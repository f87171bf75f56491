import { VCPU_COUNT_MAX } from '@hanok/machine';
import { CPU_MODEL_NAMES, DEFAULT_CPU_MODEL_NAME } from '@hanok/vmm/cpu-models';
import { type Call, defineCommand } from './command.ts';
import { UsageError } from './errors.ts';
import { type BootOptions, type DiskOptions, type RunOptions, runMachine } from './run-machine.ts';
import type { Services } from './services.ts';
import { formatSize } from './size.ts';
import { didYouMean } from './suggest.ts';

const MIB = 2 ** 20;
const MEMORY_MIN_BYTES = 64 * MIB;
/** Guest RAM ends below the 32-bit hole for devices, and engine and devices address it with 32 bits. */
const MEMORY_MAX_BYTES = 3 * 1024 * MIB;
const DEFAULT_IMAGE = 'tiny';

const FLAGS = {
  memory: { type: 'size', value: 'SIZE', help: 'Memory of the machine, 64M to 3G; whole MiB, rounded up. Default: 256M, with debian 1G.' },
  cpus: { type: 'text', value: 'N', help: `Processors of the machine, 1 to ${VCPU_COUNT_MAX}. Default: 1.` },
  cpu: { type: 'choice', value: 'MODEL', choices: CPU_MODEL_NAMES, help: `What the processors say they are: ${CPU_MODEL_NAMES.join(', ')}. Default: ${DEFAULT_CPU_MODEL_NAME}.` },
  'no-paravirt': { type: 'boolean', help: 'Hide from the guest that it is one: no hypervisor in CPUID, no clock, interrupts or hypercalls of KVM.' },
  disk: { type: 'file', value: 'FILE', repeats: true, help: 'A raw disk image that the guest may change. Disks appear in the order given: vda, vdb, …, behind the disk of an image that has one.' },
  'read-only-disk': { type: 'file', value: 'FILE', repeats: true, help: 'A raw disk image that the guest cannot change.' },
  'overlay-disk': { type: 'file', value: 'FILE', repeats: true, help: 'A raw disk image; what the guest writes is lost when the machine ends.' },
  packages: { type: 'text', value: 'LIST', help: "Names of Debian's packages, separated by commas, that the image debian has besides its own. Each list is an image of its own, made on its first use." },
  refresh: { type: 'boolean', help: 'Ask the mirror for newer packages and make the image anew where there are some.' },
  kernel: { type: 'file', value: 'FILE', help: 'Boot this Linux kernel in place of an image.' },
  initrd: { type: 'file', value: 'FILE', help: 'The initial RAM disk that goes with --kernel.' },
  append: { type: 'text', value: 'TEXT', help: 'Kernel command line of --kernel (default: console=ttyS0); with an image it is added to its own.' },
  trace: { type: 'choice', value: 'WHAT', choices: ['exits'], help: 'Print a table to stderr when the machine ends: what made it leave guest code.' },
  profile: { type: 'file', value: 'FILE', help: 'Note where the time goes: a table on stderr when the machine ends, and samples in FILE for speedscope.' },
  log: { type: 'file', value: 'FILE', help: 'Write what the devices report to FILE, and with a COMMAND the console of the guest too.' },
} as const;

export const runCommand = defineCommand({
  name: 'run',
  summary: 'Boot a machine and give it this terminal, or run one command in it.',
  details:
    'On a terminal, everything typed goes to the guest; Ctrl-] then q powers the machine off. ' +
    "Input from a file or pipe goes to the guest's console; end it with `poweroff -f`. With a COMMAND, stdin, stdout and stderr are the " +
    "command's own and so is the exit status; Ctrl-C ends the machine. An image is made on its first use and kept in a cache.",
  operands: [
    {
      name: 'IMAGE',
      optional: true,
      choices: async (services) => (await services.listImages()).map(({ name }) => name),
      help: `The image to boot; "hanok images" lists them. Default: ${DEFAULT_IMAGE}.`,
    },
  ],
  flags: FLAGS,
  tail: { name: 'COMMAND', help: 'What to run in the guest, with its arguments. No shell reads it here or there.' },
  examples: [
    { line: 'hanok run', help: 'a shell in a small Linux' },
    { line: 'hanok run -- uname -a', help: 'one command; its output and exit status are yours' },
    { line: "tar c . | hanok run --memory 512M -- sh -c 'tar t | wc -l'", help: 'stdin, pipes and all' },
    { line: 'hanok run debian', help: 'Debian with systemd, apt and ssh; log in is not asked for' },
    { line: 'hanok run debian --packages gcc,git -- gcc --version', help: 'with more of its packages' },
    { line: 'hanok run --kernel vmlinuz --initrd initrd.img --disk disk.raw', help: 'a kernel of your own' },
  ],
  async run(call, io, services) {
    services.prepareMachine();
    return runMachine(await readRunOptions(call, services), io, services);
  },
});

async function readRunOptions(call: Call<typeof FLAGS>, services: Services): Promise<RunOptions> {
  const { flags, tail } = call;
  const disks = call.given.filter(({ name }) => name.endsWith('disk')).map(({ name, value }) => ({ kind: name, path: value }) as DiskOptions);
  return {
    boot: await readBoot(call, services),
    ...(flags.memory === undefined ? {} : { memoryBytes: readMemory(flags.memory) }),
    vcpuCount: readCount(flags.cpus),
    cpuModel: flags.cpu ?? DEFAULT_CPU_MODEL_NAME,
    paravirt: flags['no-paravirt'] !== true,
    disks,
    ...(tail ? { command: tail } : {}),
    ...(flags.log === undefined ? {} : { logPath: flags.log }),
    ...(flags.profile === undefined ? {} : { profilePath: flags.profile }),
    traceExits: flags.trace === 'exits',
  };
}

function readCount(given = '1'): number {
  const count = /^\d{1,4}$/.test(given) ? Number(given) : 0;
  if (count < 1 || count > VCPU_COUNT_MAX) throw new UsageError(`--cpus ${given} is not a number of processors; give 1 to ${VCPU_COUNT_MAX}`);
  return count;
}

function readMemory(givenBytes: number): number {
  const bytes = Math.ceil(givenBytes / MIB) * MIB;
  if (bytes < MEMORY_MIN_BYTES) throw new UsageError(`--memory ${formatSize(givenBytes)} is too little for a guest; give at least 64M`);
  if (bytes > MEMORY_MAX_BYTES) throw new UsageError(`--memory ${formatSize(givenBytes)} is more than a machine can have; give at most 3G`);
  return bytes;
}

async function readBoot({ flags, operands, tail }: Call<typeof FLAGS>, services: Services): Promise<BootOptions> {
  const append = flags.append === undefined ? {} : { append: flags.append };
  const named = operands[0];
  if (flags.kernel !== undefined) {
    if (named !== undefined) throw new UsageError(`the image ${named} has a kernel of its own; leave out ${named} or --kernel`);
    if (flags.packages !== undefined || flags.refresh) throw new UsageError('--packages and --refresh go with an image; leave them out, or --kernel');
    if (tail) throw new UsageError('a COMMAND needs an image that hanok makes; leave out --kernel or the command');
    return { kernelPath: flags.kernel, ...(flags.initrd === undefined ? {} : { initrdPath: flags.initrd }), ...append };
  }
  if (flags.initrd !== undefined) throw new UsageError('--initrd goes with a kernel; add --kernel FILE');
  const image = named ?? DEFAULT_IMAGE;
  const images = (await services.listImages()).map(({ name }) => name);
  if (!images.includes(image)) {
    throw new UsageError(`there is no image "${image}"${didYouMean(image, images)}; "hanok images" lists them, and a command to run stands after --`);
  }
  return { image, ...append, ...readPackages(flags.packages), ...(flags.refresh ? { refresh: true } : {}) };
}

function readPackages(list: string | undefined): { packages?: readonly string[] } {
  if (list === undefined) return {};
  const packages = list.split(',').map((name) => name.trim()).filter(Boolean);
  const wrong = packages.find((name) => !/^[a-z0-9][a-z0-9+.-]*$/.test(name));
  if (wrong !== undefined) throw new UsageError(`--packages: "${wrong}" cannot be the name of a package; give names separated by commas`);
  return { packages };
}
