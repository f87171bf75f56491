import { describeError } from './errors.ts';
import type { Io } from './io.ts';
import { flush, processIo } from './process-io.ts';

/** Runs `program` as this process and ends the process with its exit status, whatever still waits for input. */
export async function runProcess(program: (io: Io) => Promise<number>): Promise<never> {
  const io = processIo();
  process.on('uncaughtException', (error) => {
    process.stderr.write(describeError(error, io.env.HANOK_DEBUG === '1').text);
    process.exit(1);
  });
  const exitStatus = await program(io);
  await flush(io.stdout, io.stderr);
  process.exit(exitStatus);
}
