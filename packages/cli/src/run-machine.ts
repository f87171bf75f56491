import { readFile, stat } from 'node:fs/promises';
import type { BlockBackend, EntropySource } from '@hanok/machine';
import type { Machine, MachineEnd } from '@hanok/vmm';
import { openCommandFront } from './command-front.ts';
import { UserError } from './errors.ts';
import { exitTable } from './exit-table.ts';
import { appendArchive, commandScript } from './guest-command.ts';
import type { Io } from './io.ts';
import { openProfileFile, type ProfileFile } from './profile-file.ts';
import { profileTable } from './profile-table.ts';
import { ProgressLine } from './progress.ts';
import { openRunLog } from './run-log.ts';
import type { Services } from './services.ts';
import { speedscopeFile } from './speedscope.ts';
import { findConsoles, type GuestConsoles, openTerminalFront } from './terminal-front.ts';

/** A disk as the command line names it. */
export interface DiskOptions {
  readonly kind: 'disk' | 'read-only-disk' | 'overlay-disk';
  readonly path: string;
}

/** What boots: an image by its name, or files. */
export type BootOptions =
  | { readonly image: string; readonly packages?: readonly string[]; readonly refresh?: boolean; readonly append?: string }
  | { readonly kernelPath: string; readonly initrdPath?: string; readonly append?: string };

export interface RunOptions {
  readonly boot: BootOptions;
  /** What the image asks for otherwise, or 256 MiB. */
  readonly memoryBytes?: number;
  readonly vcpuCount: number;
  readonly cpuModel: string;
  readonly paravirt: boolean;
  readonly disks: readonly DiskOptions[];
  /** Without one the guest's console is the user's. */
  readonly command?: readonly string[];
  readonly logPath?: string;
  readonly traceExits: boolean;
  readonly profilePath?: string;
}

/** Makes one machine from what the user asked for, runs it to its end and gives the exit status. */
export async function runMachine(options: RunOptions, io: Io, services: Services): Promise<number> {
  await using resources = new AsyncDisposableStack();
  const debug = io.env.HANOK_DEBUG === '1';
  const log = resources.use(await openRunLog(options.logPath, debug ? (line) => io.stderr.write(`hanok: ${line}\n`) : undefined));
  const profileFile = options.profilePath === undefined ? undefined : resources.use(await openProfileFile(options.profilePath));
  const boot = await loadBoot(options.boot, io, services);
  const disks: BlockBackend[] = [];
  const named: DiskOptions[] = boot.disk === undefined ? [] : [{ kind: 'overlay-disk', path: boot.disk }];
  for (const disk of [...named, ...options.disks]) {
    const backend = await openDisk(disk, services);
    resources.defer(() => backend.close());
    disks.push(backend);
  }

  let machine: Machine | undefined;
  const quit = new AbortController();
  const control = { quit: () => quit.abort(), pressPowerButton: () => machine?.pressPowerButton() };
  const front = resources.use(
    options.command ? openCommandFront(io, { control, log }) : openTerminalFront(boot.consoles, io, { control, log }),
  );
  const archive = options.command ? await services.commandArchive(commandScript(options.command)) : undefined;
  const initrd = archive ? appendArchive(boot.initrd ?? new Uint8Array(0), archive) : boot.initrd;

  machine = await services.createMachine({
    memoryBytes: options.memoryBytes ?? boot.memoryBytes ?? MEMORY_DEFAULT_BYTES,
    vcpuCount: options.vcpuCount,
    cpuModel: options.cpuModel,
    paravirt: options.paravirt,
    kernel: boot.kernel,
    ...(initrd ? { initrd } : {}),
    commandLine: boot.commandLine,
    serial: front.serial,
    ports: front.ports,
    disks,
    entropy: HOST_ENTROPY,
    profile: profileFile !== undefined,
    onLog: (line) => log.line(line),
    // Only a person sees that a machine starts over and over, and can end it.
    onReset: io.stdin.isTTY && !options.command ? 'restart' : 'end',
  });
  const end = await runToEnd(machine, AbortSignal.any([io.signal, quit.signal]));
  front[Symbol.dispose]();
  if (profileFile) await writeProfile(profileFile, machine, io);
  if (options.traceExits) io.stderr.write(exitTable(machine.exitCounts(), machine.instructionCount()));
  io.signal.throwIfAborted();
  return front.exitStatus(end);
}

async function writeProfile(file: ProfileFile, machine: Machine, io: Io): Promise<void> {
  const profile = machine.profile();
  if (!profile) throw new UserError('the machine ended before anything of it was profiled; HANOK_DEBUG=1 shows why');
  io.stderr.write(profileTable(profile, machine.exitCounts(), machine.instructionCount()));
  await file.write(speedscopeFile(profile, 'hanok run'));
}

async function runToEnd(machine: Machine, stopSignal: AbortSignal): Promise<MachineEnd> {
  if (stopSignal.aborted) {
    await machine.stop();
    return { reason: 'stopped' };
  }
  const failure = Promise.withResolvers<never>();
  const stop = () => void machine.stop().catch(failure.reject);
  stopSignal.addEventListener('abort', stop, { once: true });
  try {
    machine.start();
    return await Promise.race([machine.ended, failure.promise]);
  } finally {
    stopSignal.removeEventListener('abort', stop);
  }
}

interface Boot {
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly commandLine: string;
  readonly consoles: GuestConsoles;
  readonly disk?: string;
  readonly memoryBytes?: number;
}

const MEMORY_DEFAULT_BYTES = 256 * 2 ** 20;

const FILES_COMMAND_LINE = 'console=ttyS0';

async function loadBoot(boot: BootOptions, io: Io, services: Services): Promise<Boot> {
  if ('kernelPath' in boot) {
    const kernel = await readInput('--kernel', boot.kernelPath);
    const initrd = boot.initrdPath === undefined ? {} : { initrd: await readInput('--initrd', boot.initrdPath) };
    const commandLine = boot.append ?? FILES_COMMAND_LINE;
    return { kernel, ...initrd, commandLine, consoles: findConsoles(commandLine, false) };
  }
  const { kernel: kernelPath, initrd: initrdPath, ...files } = await makeImage(boot, io, services);
  const [kernel, initrd] = await Promise.all([readFile(kernelPath), readFile(initrdPath)]);
  const commandLine = [files.commandLine, terminalType(io), boot.append].filter(Boolean).join(' ');
  return { ...files, kernel, initrd, commandLine, consoles: findConsoles(commandLine, true) };
}

/** Our images give the shell the TERM of the kernel command line, so that editors know which terminal this is. */
function terminalType({ stdin, env }: Io): string | undefined {
  return stdin.isTTY && env.TERM && /^[\w.+-]{1,64}$/.test(env.TERM) ? `TERM=${env.TERM}` : undefined;
}

async function makeImage({ image, packages, refresh }: Extract<BootOptions, { image: string }>, io: Io, services: Services) {
  using progress = new ProgressLine(io.stderr);
  try {
    return await services.buildImage(image, {
      ...(packages ? { packages } : {}),
      ...(refresh ? { refresh } : {}),
      signal: io.signal,
      onProgress: (state) => progress.update(state),
      onNotice: (text) => progress.notice(text),
    });
  } catch (error) {
    io.signal.throwIfAborted();
    throw error;
  }
}

async function readInput(flag: string, path: string): Promise<Uint8Array> {
  const unreadable = (why: string, cause?: unknown) => new UserError(`cannot read ${flag} ${path}: ${why}; name a file that you may read`, { cause });
  try {
    if ((await stat(path)).isFile()) return await readFile(path);
  } catch (error) {
    throw unreadable((error as NodeJS.ErrnoException).code ?? String(error), error);
  }
  throw unreadable('it is not a file');
}

async function openDisk(disk: DiskOptions, services: Services): Promise<BlockBackend> {
  if (disk.kind === 'overlay-disk') return services.openOverlayDisk(disk.path);
  return services.openRawDisk(disk.path, { readOnly: disk.kind === 'read-only-disk' });
}

const ENTROPY_CALL_MAX_BYTES = 65536;

/** Fills guest memory too, which may be shared: the host's generator refuses that and more than 64 KiB a call (Web Crypto, "getRandomValues"). */
const HOST_ENTROPY: EntropySource = {
  fill(target) {
    for (let startBytes = 0; startBytes < target.length; startBytes += ENTROPY_CALL_MAX_BYTES) {
      const lengthBytes = Math.min(ENTROPY_CALL_MAX_BYTES, target.length - startBytes);
      target.set(crypto.getRandomValues(new Uint8Array(lengthBytes)), startBytes);
    }
  },
};
