import { type Command, defineCommand } from './command.ts';
import { completionScript, SHELLS } from './completion.ts';
import { UsageError } from './errors.ts';
import { commandHelp, programHelp } from './help.ts';
import { runCommand } from './run-command.ts';
import { formatSize } from './size.ts';
import { didYouMean } from './suggest.ts';

const imagesCommand = defineCommand({
  name: 'images',
  summary: 'List the images that can be run.',
  operands: [],
  flags: {},
  async run(_call, io, services) {
    const images = await services.listImages();
    const width = Math.max(...images.map(({ name }) => name.length));
    for (const { name, summary, cached, sizeBytes } of images) {
      const state = cached ? `made, ${formatSize(sizeBytes)}` : 'made when first run';
      io.stdout.write(`${name.padEnd(width)}  ${summary} (${state})\n`);
    }
    return 0;
  },
});

const completionCommand = defineCommand({
  name: 'completion',
  summary: 'Print a script that completes hanok command lines in a shell.',
  operands: [{ name: 'SHELL', choices: async () => SHELLS, help: `One of: ${SHELLS.join(', ')}.` }],
  flags: {},
  examples: [{ line: 'source <(hanok completion bash)', help: 'for this shell only' }],
  async run({ operands }, io, services) {
    const shell = SHELLS.find((name) => name === operands[0]);
    if (!shell) throw new UsageError(`no completion for ${operands[0]}${didYouMean(operands[0] ?? '', SHELLS)}; choose one of: ${SHELLS.join(', ')}`);
    io.stdout.write(await completionScript(shell, COMMANDS, services));
    return 0;
  },
});

const helpCommand = defineCommand({
  name: 'help',
  summary: 'Show help on a command.',
  operands: [{ name: 'COMMAND', optional: true, choices: async () => COMMANDS.map(({ name }) => name), help: 'The command to tell about.' }],
  flags: {},
  async run({ operands }, io) {
    io.stdout.write(operands[0] === undefined ? programHelp(COMMANDS) : commandHelp(findCommand(operands[0])));
    return 0;
  },
});

/** The commands of the program, in the order in which help lists them. */
export const COMMANDS: readonly Command[] = [runCommand, imagesCommand, completionCommand, helpCommand];

export function findCommand(name: string): Command {
  const command = COMMANDS.find((one) => one.name === name);
  if (command) return command;
  const names = COMMANDS.map((one) => one.name);
  throw new UsageError(`there is no command "${name}"${didYouMean(name, names)}; "hanok --help" lists the commands`);
}
