import { open } from 'node:fs/promises';
import { UserError } from './errors.ts';

/** The file of `--profile`, opened before the machine runs, so that nobody waits for what cannot be written. */
export interface ProfileFile extends AsyncDisposable {
  write(text: string): Promise<void>;
}

export async function openProfileFile(path: string): Promise<ProfileFile> {
  const unwritable = (error: unknown) =>
    new UserError(`cannot write --profile ${path} (${(error as NodeJS.ErrnoException).code}); name a file in a folder you may write to`, { cause: error });
  const file = await open(path, 'w').catch((error: unknown) => {
    throw unwritable(error);
  });
  return {
    async write(text) {
      await file.writeFile(text).catch((error: unknown) => {
        throw unwritable(error);
      });
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}
