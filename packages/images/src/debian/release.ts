import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NoticeListener } from '../cache.ts';
import { ImageError, messageOf } from '../image-error.ts';

/** One index file that a release names, e.g. `main/binary-amd64/Packages.xz`. */
export interface ReleaseFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

export interface Release {
  readonly suite: string;
  readonly codename: string;
  readonly files: ReadonlyMap<string, ReleaseFile>;
}

const KEYRING_DIRECTORIES = ['/usr/share/keyrings', '/etc/apt/trusted.gpg.d'];

/** The files with Debian's archive keys on this computer. */
export async function findDebianKeyrings(directories: readonly string[] = KEYRING_DIRECTORIES): Promise<string[]> {
  for (const directory of directories) {
    const names = await readdir(directory).catch(() => []);
    const keyrings = names.filter((name) => /^debian-archive-.*\.(gpg|asc|pgp)$/.test(name) && !name.includes('removed'));
    // The whole keyring holds what the single files hold.
    const whole = keyrings.find((name) => /^debian-archive-keyring\.(gpg|pgp)$/.test(name));
    if (whole) return [join(directory, whole)];
    if (keyrings.length > 0) return keyrings.sort().map((name) => join(directory, name));
  }
  return [];
}

/**
 * Checks the signature of an `InRelease` file (RFC 9580 §7, cleartext signature framework) and gives the signed text.
 * Without a keyring the text is believed, after a notice.
 */
export async function verifyInRelease(bytes: Uint8Array, name: string, keyrings: readonly string[], onNotice: NoticeListener): Promise<string> {
  const text = Buffer.from(bytes).toString('utf8');
  if (!text.startsWith('-----BEGIN PGP SIGNED MESSAGE-----')) {
    throw new ImageError(`${name} is not a signed Debian release file: name another mirror`);
  }
  const { readCleartextMessage, readKeys, verify } = await import('openpgp');
  const message = await readCleartextMessage({ cleartextMessage: text }).catch((error: unknown) => {
    throw new ImageError(`${name} is damaged (${messageOf(error)}): name another mirror`, error);
  });
  if (keyrings.length === 0) {
    onNotice(`no Debian archive keys on this computer: ${name} is used without a signature check (install debian-archive-keyring for it)`);
    return message.getText();
  }
  const verificationKeys = [];
  for (const keyring of keyrings) {
    const content = await readFile(keyring);
    const armored = content.subarray(0, 5).toString('latin1') === '-----';
    verificationKeys.push(...(await (armored ? readKeys({ armoredKeys: content.toString('latin1') }) : readKeys({ binaryKeys: content }))));
  }
  const { data, signatures } = await verify({ message, verificationKeys });
  // A release is signed with the keys of several Debian versions; this computer may know only some of them.
  const results = await Promise.all(signatures.map(({ verified }) => verified.then(() => '', messageOf)));
  if (results.includes('')) return data;
  throw new ImageError(
    `the signature of ${name} is not valid with the keys in ${keyrings.join(', ')} (${results.join('; ') || 'no signature'}): ` +
      'update debian-archive-keyring or name another mirror',
  );
}

/** Reads the fields of a release file that are needed here (Debian wiki, "DebianRepository/Format"). */
export function parseRelease(text: string, name: string): Release {
  const field = (key: string): string => new RegExp(`^${key}: *(.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
  const files = new Map<string, ReleaseFile>();
  const lines = text.split(/\r?\n/);
  for (let index = lines.findIndex((line) => /^SHA256:\s*$/.test(line)) + 1; index > 0 && index < lines.length; index++) {
    const match = /^ ([0-9a-f]{64}) +(\d{1,12}) +(\S+)$/.exec(lines[index]!);
    if (!match) break;
    files.set(match[3]!, { path: match[3]!, sizeBytes: Number(match[2]), sha256: match[1]! });
  }
  if (files.size === 0) throw new ImageError(`${name} lists no SHA-256 sums: name another mirror`);
  return { suite: field('Suite'), codename: field('Codename'), files };
}
