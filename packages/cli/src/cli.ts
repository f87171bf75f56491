import { COMMANDS, findCommand } from './commands.ts';
import { describeError } from './errors.ts';
import { commandHelp, programHelp } from './help.ts';
import type { Io } from './io.ts';
import { parseCall } from './parse.ts';
import type { Services } from './services.ts';
import { readVersion } from './version.ts';

/** Runs one command line and gives the exit status: 0, the guest's own, 1 for an error, 2 for a command line that is not understood. */
export async function runCli(args: readonly string[], io: Io, services: Services): Promise<number> {
  try {
    return await dispatch(args, io, services);
  } catch (error) {
    const { text, exitStatus } = describeError(error, io.env.HANOK_DEBUG === '1');
    io.stderr.write(text);
    return exitStatus;
  }
}

/** Without a command's name, what stands there belongs to `run`: `hanok`, `hanok -- uname -a`, `hanok --memory 1G`. */
async function dispatch(args: readonly string[], io: Io, services: Services): Promise<number> {
  const [first = ''] = args;
  if (first === '--help' || first === '-h') {
    io.stdout.write(programHelp(COMMANDS));
    return 0;
  }
  if (first === '--version') {
    io.stdout.write(`hanok ${await readVersion()}\n`);
    return 0;
  }
  const isNamed = first !== '' && !first.startsWith('-');
  const command = findCommand(isNamed ? first : 'run');
  const call = parseCall(command, isNamed ? args.slice(1) : args);
  if (call !== 'help') return command.run(call, io, services);
  io.stdout.write(commandHelp(command));
  return 0;
}
