import type { Io } from './io.ts';
import type { Services } from './services.ts';

/** What a flag's value is; `boolean` flags take none. */
export type FlagType = 'boolean' | 'size' | 'file' | 'text' | 'choice';

/** One flag of a command: parsing, help and completion all come from this. */
export interface Flag {
  readonly type: FlagType;
  /** What stands for the value in help, such as SIZE. */
  readonly value?: string;
  readonly choices?: readonly string[];
  /** May be given more than once. */
  readonly repeats?: boolean;
  readonly help: string;
}

export type Flags = Readonly<Record<string, Flag>>;

/** One operand of a command, taken by its place. */
export interface Operand {
  readonly name: string;
  readonly optional?: boolean;
  readonly choices?: (services: Services) => Promise<readonly string[]>;
  readonly help: string;
}

type FlagValue<F extends Flag> = F['type'] extends 'boolean' ? true : F['type'] extends 'size' ? number : string;

/** The flags as given: a list where a flag repeats, else the last value. */
export type FlagValues<F extends Flags> = {
  readonly [N in keyof F]: F[N] extends { readonly repeats: true } ? readonly FlagValue<F[N]>[] : FlagValue<F[N]> | undefined;
};

/** One command line, understood. */
export interface Call<F extends Flags = Flags> {
  readonly flags: FlagValues<F>;
  /** All flags in the order given, for what depends on it. */
  readonly given: readonly { readonly name: string; readonly value: string | number | true }[];
  readonly operands: readonly string[];
  /** What stood after `--`; undefined where there was no `--`. */
  readonly tail: readonly string[] | undefined;
}

/** A command of the program, declared once. */
export interface Command<F extends Flags = Flags> {
  readonly name: string;
  readonly summary: string;
  readonly details?: string;
  readonly operands: readonly Operand[];
  readonly flags: F;
  /** What may follow `--`. */
  readonly tail?: { readonly name: string; readonly help: string };
  readonly examples?: readonly { readonly line: string; readonly help: string }[];
  /** Does the work and gives the exit status. */
  run(call: Call<F>, io: Io, services: Services): Promise<number>;
}

/** Keeps the literal types of the flags, so that `call.flags` is typed by the declaration. */
export function defineCommand<const F extends Flags>(command: Command<F>): Command {
  return command as unknown as Command;
}
