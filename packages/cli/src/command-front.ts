import type { MachineEnd } from '@hanok/vmm';
import { UserError } from './errors.ts';
import { type Front, type FrontOptions, OUTPUT_GONE_STATUS } from './front.ts';
import { StatusReader } from './guest-command.ts';
import type { Io } from './io.ts';
import { ConsoleTail, RecordingConsole } from './recording-console.ts';
import { StreamConsole } from './stream-console.ts';

const TAIL_LINES_MAX = 12;

/** Joins the streams of one command in the guest to this process's; the guest's console is kept for the log and for errors. */
export function openCommandFront(io: Io, { control, log }: FrontOptions): Front {
  let outputGone = false;
  const onOutputGone = () => {
    outputGone = true;
    control.quit();
  };
  const tail = new ConsoleTail();
  const guestConsole = () =>
    new RecordingConsole((bytes) => {
      tail.push(bytes);
      log.bytes(bytes);
    });
  const reader = new StatusReader();
  const port = (name: string, backend: StreamConsole | RecordingConsole) => ({ name, backend, isConsole: false });
  return {
    serial: guestConsole(),
    ports: [
      { name: 'hanok.console', isConsole: true, backend: guestConsole() },
      port('hanok.stdin', new StreamConsole({ input: io.stdin })),
      port('hanok.stdout', new StreamConsole({ output: io.stdout, onOutputGone })),
      port('hanok.stderr', new StreamConsole({ output: io.stderr, onOutputGone })),
      port('hanok.status', new RecordingConsole((bytes) => reader.push(bytes))),
    ],
    exitStatus(end) {
      if (outputGone) return OUTPUT_GONE_STATUS;
      if (reader.status !== undefined && end.reason !== 'crashed') return reader.status;
      const lines = tail.lines(TAIL_LINES_MAX);
      if (!endedOnPurpose(end, lines) && !outputGone) for (const line of lines) io.stderr.write(`hanok: guest: ${line}\n`);
      throw new UserError(describeEnd(end, lines));
    },
    [Symbol.dispose]: () => {},
  };
}

function endedOnPurpose(end: MachineEnd, lines: readonly string[]): boolean {
  return end.reason !== 'crashed' && panicLine(lines) === undefined;
}

function describeEnd(end: MachineEnd, lines: readonly string[]): string {
  if (end.reason === 'crashed') return `the machine crashed before the command ended: ${end.detail}; --log FILE keeps the guest's console`;
  const panic = panicLine(lines);
  if (panic !== undefined) return `the guest's kernel panicked before the command ended: ${panic}; --log FILE keeps the guest's console`;
  const how = { 'power-off': 'powered off', reset: 'reset', stopped: 'was stopped' }[end.reason];
  return `the machine ${how} without giving the command's exit status; a command that ends the machine itself gives none`;
}

function panicLine(lines: readonly string[]): string | undefined {
  return lines.find((line) => line.includes('Kernel panic'))?.trim();
}
