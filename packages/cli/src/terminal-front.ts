import { UserError } from './errors.ts';
import { ESCAPE_HELP, ESCAPE_NOTICE, EscapeKeys } from './escape-keys.ts';
import { type Front, type FrontOptions, OUTPUT_GONE_STATUS } from './front.ts';
import type { Io } from './io.ts';
import { RecordingConsole } from './recording-console.ts';
import { StreamConsole, type StreamConsoleOptions } from './stream-console.ts';
import { RawTerminal } from './terminal.ts';

/** Ctrl-D: how a terminal says that no more is typed. */
const END_OF_TRANSMISSION = Uint8Array.of(4);

/** Joins the guest's console to this process's standard streams; where those are a terminal, the guest gets all of it. */
export function openTerminalFront(commandLine: string, io: Io, { control, log }: FrontOptions): Front {
  let outputGone = false;
  const loseOutput = () => {
    outputGone = true;
    control.quit();
  };
  const terminal = io.stdin.isTTY ? new RawTerminal(io) : undefined;
  const streams: StreamConsoleOptions = { input: io.stdin, output: io.stdout, onOutputGone: loseOutput };
  const guestConsole = new StreamConsole(terminal ? { ...streams, ...personAt(terminal, io, control) } : { ...streams, endOfInput: END_OF_TRANSMISSION });
  const unused = new RecordingConsole((bytes) => log.bytes(bytes));
  const onSerial = consoleIsSerial(commandLine);
  if (terminal) io.stderr.write(`hanok: ${ESCAPE_NOTICE}\n`);
  return {
    serial: onSerial ? guestConsole : unused,
    ports: [{ name: 'hanok.console', isConsole: true, backend: onSerial ? unused : guestConsole }],
    exitStatus(end) {
      if (end.reason === 'crashed') throw new UserError(`the machine crashed: ${end.detail}; HANOK_DEBUG=1 shows what led to it`);
      return outputGone ? OUTPUT_GONE_STATUS : 0;
    },
    [Symbol.dispose]: () => terminal?.[Symbol.dispose](),
  };
}

function personAt(terminal: RawTerminal, io: Io, control: FrontOptions['control']): Partial<StreamConsoleOptions> {
  const keys = new EscapeKeys({
    quit: () => control.quit(),
    pressPowerButton: () => control.pressPowerButton(),
    showHelp: () => void io.stderr.write(`\n${ESCAPE_HELP}`),
  });
  return { inputFilter: (bytes) => keys.filter(bytes), watchSize: (listener) => terminal.watchSize(listener) };
}

/** Whether the guest's /dev/console is the serial port: the last console= decides, and without one Linux takes the first it finds. */
export function consoleIsSerial(commandLine: string): boolean {
  const named = commandLine.split(/\s+/).filter((word) => word.startsWith('console='));
  return !named.at(-1)?.startsWith('console=hvc');
}
