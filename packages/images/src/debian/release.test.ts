import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeSigner } from '../testing/debian-fixture.ts';
import { temporaryDirectory } from '../testing/temporary-directory.ts';
import { findDebianKeyrings, parseRelease, verifyInRelease } from './release.ts';

const silent = (): void => {};

test('believes a release that a known key signed, and no other', async (t) => {
  const directory = await temporaryDirectory(t);
  const [signer, stranger] = [await makeSigner(), await makeSigner()];
  const keyring = join(directory, 'known.asc');
  const other = join(directory, 'other.asc');
  await writeFile(keyring, signer.publicKey);
  await writeFile(other, stranger.publicKey);
  const signed = await signer.sign('Suite: stable\nCodename: bookworm\n');
  assert.equal(await verifyInRelease(Buffer.from(signed), 'InRelease', [other, keyring], silent), 'Suite: stable\nCodename: bookworm\n');
  await assert.rejects(verifyInRelease(Buffer.from(signed), 'InRelease', [other], silent), /signature of InRelease is not valid/);
  await assert.rejects(verifyInRelease(Buffer.from(signed.replace('bookworm', 'bullseye')), 'InRelease', [keyring], silent), /is not valid/);
  await assert.rejects(verifyInRelease(Buffer.from('Suite: stable\n'), 'InRelease', [keyring], silent), /not a signed Debian release/);
  await assert.rejects(verifyInRelease(Buffer.from(signed.slice(0, 120)), 'InRelease', [keyring], silent), /damaged/);
});

test('text before or after the signed part is not used', async (t) => {
  const directory = await temporaryDirectory(t);
  const signer = await makeSigner();
  const keyring = join(directory, 'known.asc');
  await writeFile(keyring, signer.publicKey);
  const signed = await signer.sign('Suite: stable\n');
  const result = await verifyInRelease(Buffer.from(`${signed}\nSuite: evil\n`), 'InRelease', [keyring], silent).catch(() => '');
  assert.ok(!result.includes('evil'));
  await assert.rejects(verifyInRelease(Buffer.from(`Suite: evil\n${signed}`), 'InRelease', [keyring], silent), /not a signed/);
});

test('says so when there is no keyring', async () => {
  const notices: string[] = [];
  const signed = await (await makeSigner()).sign('Suite: stable\n');
  assert.equal(await verifyInRelease(Buffer.from(signed), 'InRelease', [], (notice) => notices.push(notice)), 'Suite: stable\n');
  assert.match(notices.join(), /without a signature check/);
});

test('reads the SHA-256 sums and nothing after them', () => {
  const sum = 'b'.repeat(64);
  const text = `Suite: stable\nCodename: bookworm\nMD5Sum:\n ${'c'.repeat(32)} 5 main/x\nSHA256:\n ${sum}  12 main/x\n ${sum} 7 main/y\nSHA1: z\n ${sum} 1 main/z\n`;
  const release = parseRelease(text, 'InRelease');
  assert.deepEqual([release.suite, release.codename], ['stable', 'bookworm']);
  assert.deepEqual([...release.files.values()].map(({ path, sizeBytes }) => [path, sizeBytes]), [['main/x', 12], ['main/y', 7]]);
  assert.throws(() => parseRelease('Suite: stable\n', 'InRelease'), /lists no SHA-256/);
});

test('finds the keyrings of Debian, the whole one before single keys', async (t) => {
  const directory = await temporaryDirectory(t);
  const [first, second] = [join(directory, 'a'), join(directory, 'b')];
  await mkdir(first);
  await mkdir(second);
  assert.deepEqual(await findDebianKeyrings([first, second, join(directory, 'none')]), []);
  for (const name of ['debian-archive-x.asc', 'debian-archive-removed-keys.gpg', 'vendor.gpg']) await writeFile(join(second, name), '');
  assert.deepEqual(await findDebianKeyrings([first, second]), [join(second, 'debian-archive-x.asc')]);
  await writeFile(join(second, 'debian-archive-keyring.gpg'), '');
  assert.deepEqual(await findDebianKeyrings([first, second]), [join(second, 'debian-archive-keyring.gpg')]);
});
