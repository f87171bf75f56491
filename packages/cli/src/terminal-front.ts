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
export function openTerminalFront(consoles: GuestConsoles, io: Io, { control, log }: FrontOptions): Front {
  let outputGone = false;
  const loseOutput = () => {
    outputGone = true;
    control.quit();
  };
  const terminal = io.stdin.isTTY ? new RawTerminal(io) : undefined;
  const streams: StreamConsoleOptions = { input: io.stdin, output: io.stdout, onOutputGone: loseOutput };
  const guestConsole = new StreamConsole(terminal ? { ...streams, ...personAt(terminal, io, control) } : { ...streams, endOfInput: END_OF_TRANSMISSION, waitsForOutput: consoles.user === 'virtio' });
  const kernelMessages = new RecordingConsole((bytes) => {
    log.bytes(bytes);
    if (consoles.showSerial) io.stdout.write(bytes);
  });
  if (terminal) io.stderr.write(`hanok: ${ESCAPE_NOTICE}\n`);
  return {
    serial: consoles.user === 'serial' ? guestConsole : kernelMessages,
    // A guest that finds a virtio console may prefer it, so there is none where the user is elsewhere.
    ports: consoles.user === 'serial' ? [] : [{ name: 'hanok.console', isConsole: true, backend: guestConsole }],
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

/** Which of the guest's two consoles has the user, and whether the serial port's output is shown beside it. */
export interface GuestConsoles {
  readonly user: 'serial' | 'virtio';
  readonly showSerial: boolean;
}

/**
 * Where to find the guest's shell. Linux puts it on the last console= (the first it finds without one); our images put it on
 * the virtio console and leave the serial port to the kernel. A kernel that has both consoles says everything on each.
 */
export function findConsoles(commandLine: string, isImage: boolean): GuestConsoles {
  const named = commandLine.split(/\s+/).filter((word) => word.startsWith('console='));
  const onVirtio = named.some((word) => word.startsWith('console=hvc'));
  const user = isImage || named.at(-1)?.startsWith('console=hvc') ? 'virtio' : 'serial';
  return { user, showSerial: user === 'virtio' && !onVirtio };
}
