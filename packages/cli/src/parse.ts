import { parseArgs } from 'node:util';
import type { Call, Command, Flag, FlagValues, Flags } from './command.ts';
import { UsageError } from './errors.ts';
import { parseSize } from './size.ts';
import { didYouMean } from './suggest.ts';

/** Reads the arguments after the command's name. Gives 'help' where `--help` stands among them. */
export function parseCall(command: Command, args: readonly string[]): Call | 'help' {
  const options: Record<string, { type: 'boolean' | 'string'; short?: string }> = { help: { type: 'boolean', short: 'h' } };
  for (const [name, flag] of Object.entries(command.flags)) options[name] = { type: flag.type === 'boolean' ? 'boolean' : 'string' };
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });

  const given: { name: string; value: string | number | true }[] = [];
  const operands: string[] = [];
  let tail: string[] | undefined;
  for (const token of tokens) {
    if (token.kind === 'option-terminator') tail = [];
    else if (token.kind === 'positional') (tail ?? operands).push(token.value);
    else if (token.name === 'help') return 'help';
    else given.push({ name: token.name, value: flagValue(command, token) });
  }
  checkOperands(command, operands, tail);
  return { flags: collectFlags(command.flags, given), given, operands, tail };
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function flagValue(command: Command, token: OptionToken): string | number | true {
  const flag: Flag | undefined = Object.hasOwn(command.flags, token.name) ? command.flags[token.name] : undefined;
  if (!flag) {
    const known = [...Object.keys(command.flags), 'help', 'version'].map((name) => `--${name}`);
    throw new UsageError(`unknown flag ${token.rawName}${didYouMean(token.rawName, known)}; "hanok help ${command.name}" lists the flags`);
  }
  if (flag.type === 'boolean') {
    if (token.value !== undefined) throw new UsageError(`${token.rawName} takes no value; write it without "=${token.value}"`);
    return true;
  }
  const { value } = token;
  if (value === undefined || value === '' || (!token.inlineValue && value.startsWith('-') && value !== '-')) {
    throw new UsageError(`${token.rawName} needs a value; write ${token.rawName} ${flag.value ?? 'VALUE'}`);
  }
  if (flag.type === 'size') return parseSize(value, token.rawName);
  if (flag.choices && !flag.choices.includes(value)) {
    throw new UsageError(`${token.rawName} ${value} is unknown${didYouMean(value, flag.choices)}; choose one of: ${flag.choices.join(', ')}`);
  }
  return value;
}

function checkOperands(command: Command, operands: readonly string[], tail: readonly string[] | undefined): void {
  const missing = command.operands.find((operand, index) => !operand.optional && index >= operands.length);
  if (missing) throw new UsageError(`${missing.name} is missing; "hanok help ${command.name}" shows how to write it`);
  const extra = operands[command.operands.length];
  if (extra !== undefined) {
    const mend = command.tail ? `put -- before a ${command.tail.name}` : 'leave it out';
    throw new UsageError(`"${extra}" is one operand too many for hanok ${command.name}; ${mend}`);
  }
  if (tail && !command.tail) throw new UsageError(`hanok ${command.name} takes nothing after --; leave it out`);
  if (tail?.length === 0) throw new UsageError(`${command.tail?.name} is missing after --; write one, or leave the -- out`);
}

function collectFlags(flags: Flags, given: Call['given']): FlagValues<Flags> {
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(flags)) {
    const all = given.filter((one) => one.name === name).map((one) => one.value);
    if (all.length > 1 && !flag.repeats && flag.type !== 'boolean') throw new UsageError(`--${name} is given ${all.length} times; give it once`);
    values[name] = flag.repeats ? all : all[0];
  }
  return values as FlagValues<Flags>;
}
