import type { Command } from './command.ts';
import type { Services } from './services.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What can stand where, as plain lists of words: the three shells' scripts are written from this. */
interface Words {
  readonly name: string;
  readonly summary: string;
  readonly operands: readonly string[];
  readonly flags: readonly { readonly name: string; readonly help: string; readonly takesFile: boolean; readonly values?: readonly string[] }[];
}

/** A script for `shell` that completes the commands, their flags, and the values that are known beforehand. */
export async function completionScript(shell: Shell, commands: readonly Command[], services: Services): Promise<string> {
  const words = await Promise.all(commands.map((command) => commandWords(command, services)));
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](words);
}

async function commandWords(command: Command, services: Services): Promise<Words> {
  const operands = await Promise.all(command.operands.map(async ({ choices }) => (choices ? choices(services) : [])));
  const flags = Object.entries(command.flags).map(([name, flag]) => ({
    name,
    help: flag.help,
    takesFile: flag.type === 'file',
    ...(flag.type === 'boolean' || flag.type === 'file' ? {} : { values: flag.choices ?? [] }),
  }));
  return { name: command.name, summary: command.summary, operands: operands.flat(), flags: [...flags, { name: 'help', help: 'Show help.', takesFile: false }] };
}

function bashScript(commands: readonly Words[]): string {
  const flagCases = commands.flatMap(({ name, flags }) =>
    flags.flatMap((flag) => {
      if (flag.takesFile) return [`    '${name} --${flag.name}') compopt -o default; COMPREPLY=(); return ;;`];
      if (flag.values) return [`    '${name} --${flag.name}') COMPREPLY=($(compgen -W '${flag.values.join(' ')}' -- "$word")); return ;;`];
      return [];
    }),
  );
  const wordCases = commands.map(({ name, flags, operands }) => {
    const words = [...operands, ...flags.map((flag) => `--${flag.name}`)];
    return `    ${name}) COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$word")) ;;`;
  });
  return `# Completion of hanok for bash: source this file, or write it to where bash-completion looks.
_hanok() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} command=\${COMP_WORDS[1]} index
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')} --help --version' -- "$word"))
    return
  fi
  for ((index = 2; index < COMP_CWORD; index++)); do
    [[ \${COMP_WORDS[index]} == -- ]] && return
  done
  case "$command $before" in
${flagCases.join('\n')}
  esac
  case $command in
${wordCases.join('\n')}
  esac
}
complete -F _hanok hanok
`;
}

function zshScript(commands: readonly Words[]): string {
  const describe = (text: string) => text.replaceAll(/[[\]:'\\]/g, '').replaceAll('"', '');
  const names = commands.map(({ name, summary }) => `      '${name}:${describe(summary)}'`);
  const cases = commands.map(({ name, flags, operands }) => {
    const specs = flags.map((flag) => {
      const value = flag.takesFile ? ':file:_files' : flag.values ? `:value:(${flag.values.join(' ')})` : '';
      return `'*--${flag.name}[${describe(flag.help)}]${value}'`;
    });
    if (operands.length > 0) specs.push(`'1:operand:(${operands.join(' ')})'`);
    return `    ${name}) _arguments ${specs.join(' ')} ;;`;
  });
  return `#compdef hanok
# Completion of hanok for zsh: write this to a file _hanok in a folder of $fpath.
_hanok() {
  if ((CURRENT == 2)); then
    local -a commands=(
${names.join('\n')}
    )
    _describe command commands
    return
  fi
  local command=$words[2]
  if ((\${words[(Ie)--]} && \${words[(Ie)--]} < CURRENT)); then return; fi
  shift words
  ((CURRENT--))
  case $command in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _hanok ]]; then _hanok "$@"; else compdef _hanok hanok; fi
`;
}

function fishScript(commands: readonly Words[]): string {
  const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = ['# Completion of hanok for fish: write this to completions/hanok.fish in the configuration folder of fish.', 'complete -c hanok -f'];
  for (const { name, summary, operands, flags } of commands) {
    lines.push(`complete -c hanok -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`);
    const here = `complete -c hanok -n '__fish_seen_subcommand_from ${name}; and not contains -- -- (commandline -opc)'`;
    if (operands.length > 0) lines.push(`${here} -a ${quote(operands.join(' '))}`);
    for (const flag of flags) {
      const value = flag.takesFile ? ' -r -F' : flag.values ? ` -x -a ${quote(flag.values.join(' '))}` : '';
      lines.push(`${here} -l ${flag.name}${value} -d ${quote(flag.help)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
