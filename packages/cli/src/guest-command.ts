/** A word of the shell that stands for exactly `argument`. */
function shellQuote(argument: string): string {
  return `'${argument.replaceAll("'", "'\\''")}'`;
}

/** The script that runs a command in the guest: nothing in the arguments has a meaning to the shell. */
export function commandScript(command: readonly string[]): string {
  return `exec ${command.map(shellQuote).join(' ')}\n`;
}

const CPIO_ALIGNMENT_BYTES = 4;

/** Joins an archive to an initrd. The kernel unpacks both, the later one over the earlier (Documentation/driver-api/early-userspace/buffer-format.rst). */
export function appendArchive(initrd: Uint8Array, archive: Uint8Array): Uint8Array {
  const startBytes = Math.ceil(initrd.length / CPIO_ALIGNMENT_BYTES) * CPIO_ALIGNMENT_BYTES;
  const joined = new Uint8Array(startBytes + archive.length);
  joined.set(initrd);
  joined.set(archive, startBytes);
  return joined;
}

const STATUS_LENGTH_MAX = 16;

/** Collects the exit status that the guest writes as decimal text. The guest may write anything. */
export class StatusReader {
  #text = '';

  push(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.#text.length >= STATUS_LENGTH_MAX) return;
      this.#text += String.fromCharCode(byte);
    }
  }

  /** The status, or undefined where the guest gave none that is one. */
  get status(): number | undefined {
    const match = /^\s*(\d{1,3})\s*(?:\n|$)/.exec(this.#text);
    const status = Number(match?.[1] ?? Number.NaN);
    return status <= 255 ? status : undefined;
  }
}
