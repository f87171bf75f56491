import { COMMANDS, findCommand } from './commands.ts';
import { describeError, UsageError } from './errors.ts';
import { commandHelp, programHelp } from './help.ts';
import type { Io } from './io.ts';
import { parseCall } from './parse.ts';
import type { Services } from './services.ts';
import { didYouMean } from './suggest.ts';
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

async function dispatch([name, ...rest]: readonly string[], io: Io, services: Services): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h') {
    io.stdout.write(programHelp(COMMANDS));
    return 0;
  }
  if (name === '--version') {
    io.stdout.write(`hanok ${await readVersion()}\n`);
    return 0;
  }
  if (name.startsWith('-')) {
    throw new UsageError(`unknown flag ${name}${didYouMean(name, ['--help', '--version'])}; flags of a command stand after its name, as in hanok run ${name}`);
  }
  const command = findCommand(name);
  const call = parseCall(command, rest);
  if (call !== 'help') return command.run(call, io, services);
  io.stdout.write(commandHelp(command));
  return 0;
}
