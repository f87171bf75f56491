import { open, type FileHandle } from 'node:fs/promises';
import { UserError } from './errors.ts';

/** What a machine and its devices say aside from the guest's own output; goes to the file of `--log`, else nowhere. */
export interface RunLog extends AsyncDisposable {
  line(text: string): void;
  bytes(bytes: Uint8Array): void;
}

/** The log of `--log path`; without a path one that only passes lines on to `onLine`. */
export async function openRunLog(path: string | undefined, onLine?: (line: string) => void): Promise<RunLog> {
  if (path === undefined) return { line: (text) => onLine?.(text), bytes: () => {}, [Symbol.asyncDispose]: async () => {} };
  let file: FileHandle;
  try {
    file = await open(path, 'w');
  } catch (error) {
    throw new UserError(`cannot write --log ${path} (${(error as NodeJS.ErrnoException).code}); name a file in a folder you may write to`, { cause: error });
  }
  const stream = file.createWriteStream();
  let failure: Error | undefined;
  stream.on('error', (error) => {
    failure ??= error;
    onLine?.(`--log ${path} stops here: ${error.message}`);
  });
  const bytes = (chunk: Uint8Array) => {
    if (!failure) stream.write(chunk);
  };
  return {
    line: (text) => {
      bytes(Buffer.from(`${text}\n`));
      onLine?.(text);
    },
    bytes,
    [Symbol.asyncDispose]: () => new Promise((resolve) => (failure ? resolve() : stream.on('close', resolve).end())),
  };
}
