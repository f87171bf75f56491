import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildTinyOptions, buildTiny, commandArchive, readCpioFile, writeCpio } from '@hanok/images';
import type { GuestFiles } from './guest.ts';

const MEMORY_MIB = 512;
/** The kernel announces its power-off in the middle of what the serial port has not sent yet: who reads ends the guest before. */
const QUIET_S = 5;
const SOURCES = fileURLToPath(new URL('./workloads', import.meta.url));

/** SSE2 is what x86-64 has at least, and v86 has it too: both builds compute in it. */
const COMPILER_FLAGS = { amd64: ['-m64'], i386: ['-m32', '-march=i686', '-msse2', '-mfpmath=sse'] } as const;
export type Architecture = keyof typeof COMPILER_FLAGS & BuildTinyOptions['architecture'];

/** The workloads for a processor: the static program and the busybox that it runs here, and what runs them in a machine. */
export interface WorkloadBuild {
  readonly program: string;
  readonly busybox: string;
  readonly files: GuestFiles;
}

/** Compiles the workloads for a processor; throws where gcc cannot. */
export function compileWorkloads(folder: string, architecture: Architecture): string {
  const program = join(folder, `workloads-${architecture}`);
  const sources = readdirSync(SOURCES).filter((name) => name.endsWith('.c')).map((name) => join(SOURCES, name));
  execFileSync('gcc', ['-O2', ...COMPILER_FLAGS[architecture], '-static', '-o', program, ...sources, '-lm'], { stdio: ['ignore', 'inherit', 'inherit'] });
  return program;
}

/** Puts a compiled program into the image `tiny` of its processor, which runs it with `args`. */
export async function bootable(folder: string, architecture: Architecture, program: string, args: readonly string[]): Promise<WorkloadBuild> {
  const image = await buildTiny({ architecture, onNotice: (text) => process.stderr.write(`${text}\n`) });
  const tiny = await readFile(image.initrd);
  const workloads = writeCpio([{ path: 'workloads', type: 'file', mode: 0o755, content: await readFile(program) }]);
  const initrd = join(folder, `initrd-${architecture}`);
  await writeFile(initrd, Buffer.concat([tiny, workloads, commandArchive(`/workloads ${args.join(' ')}\nsleep ${QUIET_S}\n`)]));
  // The name tells busybox that it is asked for no program in particular.
  await mkdir(join(folder, architecture));
  const busybox = join(folder, architecture, 'busybox');
  await writeFile(busybox, readCpioFile(tiny, 'bin/busybox'), { mode: 0o755 });
  return { program, busybox, files: { kernel: image.kernel, initrd, commandLine: 'console=ttyS0 quiet', memoryMiB: MEMORY_MIB } };
}
