import type { Command, Flag } from './command.ts';

/** The page of one command. */
export function commandHelp(command: Command): string {
  const parts = ['hanok', command.name, ...command.operands.map((operand) => (operand.optional ? `[${operand.name}]` : operand.name))];
  if (Object.keys(command.flags).length > 0) parts.push('[FLAG…]');
  if (command.tail) parts.push(`[-- ${command.tail.name}…]`);
  const sections = [`Usage: ${parts.join(' ')}`, [command.summary, ...(command.details ? wrap(command.details, LINE_WIDTH) : [])].join('\n')];
  const operands = command.operands.map((operand): Row => [operand.name, operand.help]);
  if (command.tail) operands.push([`${command.tail.name}…`, command.tail.help]);
  if (operands.length > 0) sections.push(`Operands:\n${table(operands)}`);
  const flags = Object.entries(command.flags).map(([name, flag]): Row => [flagUsage(name, flag), flagHelp(flag)]);
  sections.push(`Flags:\n${table([...flags, ['-h, --help', 'Show this page.']])}`);
  if (command.examples) sections.push(`Examples:\n${command.examples.map(({ line, help }) => `  ${line}\n      ${help}`).join('\n')}`);
  return `${sections.join('\n\n')}\n`;
}

/** The page of the whole program. */
export function programHelp(commands: readonly Command[]): string {
  const rows = commands.map((command): Row => [command.name, command.summary]);
  const flags: Row[] = [
    ['-h, --help', 'Show this page.'],
    ['--version', 'Show the version.'],
  ];
  return `Usage: hanok [COMMAND] [FLAG…]

hanok runs virtual machines. Without a COMMAND it is hanok run.

Commands:
${table(rows)}

Flags:
${table(flags)}

"hanok help COMMAND" tells more about one command. HANOK_DEBUG=1 shows where an error comes from.
`;
}

function flagUsage(name: string, flag: Flag): string {
  return flag.type === 'boolean' ? `--${name}` : `--${name} ${flag.value ?? 'VALUE'}`;
}

function flagHelp(flag: Flag): string {
  const choices = flag.choices ? ` One of: ${flag.choices.join(', ')}.` : '';
  return `${flag.help}${choices}${flag.repeats ? ' May be repeated.' : ''}`;
}

type Row = [term: string, text: string];

const LINE_WIDTH = 96;

function table(rows: readonly Row[]): string {
  const indent = Math.max(...rows.map(([term]) => term.length)) + 4;
  return rows.map(([term, text]) => `  ${term.padEnd(indent - 2)}${wrap(text, LINE_WIDTH - indent).join(`\n${' '.repeat(indent)}`)}`).join('\n');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line ? `${line} ${word}` : word;
    }
  }
  return [...lines, line];
}
