/** Something the user can mend. Its message is one line that names the thing and the mend; no stack is shown. */
export class UserError extends Error {
  override readonly name: string = 'UserError';
  readonly exitStatus: number = 1;
}

/** A command line that cannot be understood. */
export class UsageError extends UserError {
  override readonly name = 'UsageError';
  override readonly exitStatus = 2;
}

/** The reason an AbortSignal carries when this process was told to end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitStatus: number;

  constructor(signalName: string, signalNumber: number) {
    super(`stopped by ${signalName}`);
    this.exitStatus = 128 + signalNumber;
  }
}

const BUGS: readonly string[] = ['TypeError', 'RangeError', 'ReferenceError', 'AssertionError'];

/** The exit status an error stands for, and what to print; an interrupted run prints nothing. */
export function describeError(error: unknown, debug: boolean): { text: string; exitStatus: number } {
  if (error instanceof Interrupted) return { text: '', exitStatus: error.exitStatus };
  const exitStatus = error instanceof UserError ? error.exitStatus : 1;
  if (debug && error instanceof Error) return { text: `hanok: ${error.stack}\n`, exitStatus };
  const message = (error instanceof Error ? error.message : String(error)).trim().replaceAll(/\s*\n\s*/g, ' ');
  const isBug = !(error instanceof Error) || BUGS.includes(error.name);
  const text = isBug ? `hanok: a fault in hanok itself: ${message}; HANOK_DEBUG=1 shows where\n` : `hanok: ${message}\n`;
  return { text, exitStatus };
}
