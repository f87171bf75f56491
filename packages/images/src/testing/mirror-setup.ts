import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { makeSigner, type Signer } from './debian-fixture.ts';
import { LoopbackServer } from './loopback-server.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** A mirror on the loopback interface, an empty cache, and the options by which an image is made of them alone. */
export async function setUpMirror(t: TestContext, makeFiles: (signer: Signer) => Promise<ReadonlyMap<string, Uint8Array>>) {
  const signer = await makeSigner();
  const server = await LoopbackServer.start(await makeFiles(signer));
  t.after(() => server.close());
  const cacheDirectory = await temporaryDirectory(t);
  const keyring = join(await temporaryDirectory(t), 'key.asc');
  await writeFile(keyring, signer.publicKey);
  const options = { mirror: server.url.href, cacheDirectory, keyrings: [keyring], environment: {}, run: async () => undefined, retryDelaysMs: [] };
  return { server, cacheDirectory, options };
}
