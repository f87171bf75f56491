import assert from 'node:assert/strict';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ImageCache, sha256Hex } from './cache.ts';
import { Downloader, UnreachableError } from './downloader.ts';
import type { DownloaderOptions, Progress } from './downloader.ts';
import { HttpClient } from './http-client.ts';
import type { ProxySettings } from './http-client.ts';
import { ImageError, cacheError } from './image-error.ts';
import { NotFoundError } from './part-file.ts';
import type { BlobRequest } from './part-file.ts';
import { LoopbackServer, answer, truncateAfter } from './testing/loopback-server.ts';
import { temporaryDirectory } from './testing/temporary-directory.ts';

const CONTENT = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) & 0xff));

async function setUp(t: TestContext, options: Partial<DownloaderOptions> & { proxies?: ProxySettings } = {}) {
  const server = await LoopbackServer.start(new Map([['pool/x', CONTENT]]));
  t.after(() => server.close());
  const notices: string[] = [];
  const onNotice = (notice: string): void => void notices.push(notice);
  const cache = new ImageCache(await temporaryDirectory(t), onNotice);
  const client = new HttpClient(options.proxies);
  t.after(() => client.close());
  const downloader = new Downloader({ cache, client, onNotice, retryDelaysMs: [0, 0, 0], ...options });
  const request: BlobRequest = { url: new URL('pool/x', server.url), sha256: sha256Hex(CONTENT), sizeBytes: CONTENT.length, label: 'x' };
  return { server, cache, downloader, request, notices };
}

test('fetches once, reports progress, and reads the cache afterwards', async (t) => {
  const progress: Progress[] = [];
  const { server, downloader, request, cache } = await setUp(t, { onProgress: (step) => progress.push(step) });
  assert.deepEqual(await downloader.fetchBlob(request), CONTENT);
  assert.deepEqual(progress.at(-1), { label: 'x', done: CONTENT.length, total: CONTENT.length });
  await downloader.fetchBlob(request);
  assert.equal(server.countOf('pool/x'), 1);
  assert.deepEqual(await readdir(cache.path('parts')), []);
});

test('goes on where a broken transfer stopped', async (t) => {
  const { server, downloader, request } = await setUp(t);
  server.surprise('pool/x', truncateAfter(CONTENT, 100_000));
  assert.deepEqual(await downloader.fetchBlob(request), CONTENT);
  const range = Number(/bytes=(\d+)-/.exec(server.requests[1]!.headers.range ?? '')?.[1]);
  assert.ok(range > 0 && range <= 100_000, String(range));
});

test('goes on with what an ended process left behind', async (t) => {
  const { server, downloader, request, cache } = await setUp(t);
  const part = await cache.claimPart(request.sha256);
  await writeFile(part, CONTENT.subarray(0, 1234));
  await cache.releasePart(part, request.sha256);
  assert.deepEqual(await downloader.fetchBlob(request), CONTENT);
  assert.equal(server.requests[0]!.headers.range, 'bytes=1234-');
});

test('starts again when the server cannot continue or what was left is wrong', async (t) => {
  const { server, downloader, request, cache } = await setUp(t);
  const leave = async (bytes: Uint8Array): Promise<void> => {
    await cache.remove(cache.blobPath(request.sha256));
    const part = await cache.claimPart(request.sha256);
    await writeFile(part, bytes);
    await cache.releasePart(part, request.sha256);
  };
  await leave(CONTENT.subarray(0, 1000));
  server.surprise('pool/x', answer(200, CONTENT));
  assert.deepEqual(await downloader.fetchBlob(request), CONTENT);
  await leave(CONTENT.subarray(0, 1000));
  server.surprise('pool/x', answer(416));
  assert.deepEqual(await downloader.fetchBlob(request), CONTENT);
  await leave(CONTENT.subarray(0, 1000));
  server.surprise('pool/x', answer(206, CONTENT, { 'content-range': `bytes 0-${CONTENT.length - 1}/${CONTENT.length}` }));
  assert.deepEqual(await downloader.fetchBlob(request), CONTENT);
  await leave(Buffer.alloc(1000, 1));
  assert.deepEqual(await downloader.fetchBlob(request), CONTENT);
  await leave(Buffer.alloc(CONTENT.length + 1, 1));
  assert.deepEqual(await downloader.fetchBlob(request), CONTENT);
});

test('refuses content that is not what the index names', async (t) => {
  const { server, downloader, request, cache } = await setUp(t);
  server.files.set('pool/x', Buffer.alloc(CONTENT.length, 3));
  await assert.rejects(downloader.fetchBlob(request), /not what the index names/);
  server.files.set('pool/x', Buffer.alloc(CONTENT.length * 2, 3));
  await assert.rejects(downloader.fetchBlob(request), /more than the index says/);
  assert.equal(await cache.readBlob(request.sha256, 'x'), undefined);
});

test('tries again on server errors, not on 404', async (t) => {
  const { server, downloader, request } = await setUp(t);
  server.surprise('pool/x', answer(503), answer(500));
  assert.deepEqual(await downloader.fetchBlob(request), CONTENT);
  const missing = { ...request, url: new URL('pool/none', server.url), sha256: sha256Hex('none') };
  await assert.rejects(downloader.fetchBlob(missing), (error: unknown) => error instanceof NotFoundError && /pool\/none does not exist/.test(error.message));
  assert.equal(server.countOf('pool/none'), 1);
  server.surprise('pool/none', answer(403));
  await assert.rejects(downloader.fetchBlob(missing), /HTTP 403/);
});

test('an unreachable server is named', async (t) => {
  const { server, downloader, request } = await setUp(t);
  await server.close();
  await assert.rejects(downloader.fetchBlob(request), (error: unknown) => error instanceof UnreachableError && /cannot reach 127\.0\.0\.1.*ECONNREFUSED.*check the network/s.test(error.message));
});

test('a stalled server does not hold the download for ever', async (t) => {
  const { server } = await setUp(t);
  server.surprise('pool/x', () => {});
  const client = new HttpClient();
  t.after(() => client.close());
  await assert.rejects(client.get(new URL('pool/x', server.url), { idleTimeoutMs: 20 }), /no data for/);
});

test('follows redirects within limits', async (t) => {
  const { server, downloader, request } = await setUp(t);
  server.surprise('old', answer(302, '', { location: '/pool/x' }));
  assert.deepEqual(await downloader.fetchBlob({ ...request, url: new URL('old', server.url) }), CONTENT);
  server.surprise('loop', ...Array.from({ length: 20 }, () => answer(301, '', { location: '/loop' })));
  await assert.rejects(downloader.fetchSmall(new URL('loop', server.url), 10), /redirects more than/);
  server.surprise('bad', answer(301, '', { location: 'file:///etc/passwd' }));
  await assert.rejects(downloader.fetchSmall(new URL('bad', server.url), 10), /is not followed/);
});

test('small files are bounded and revalidated', async (t) => {
  const { server, downloader } = await setUp(t);
  await assert.rejects(downloader.fetchSmall(new URL('pool/x', server.url), 1000), /larger than 1000/);
  server.surprise('pool/x', answer(304));
  assert.equal(await downloader.fetchSmall(new URL('pool/x', server.url), 1000, { 'if-modified-since': 'x' }), undefined);
});

test('goes through a proxy', async (t) => {
  const proxy = await LoopbackServer.start(new Map([['pool/x', CONTENT]]));
  t.after(() => proxy.close());
  const { downloader, request } = await setUp(t, { proxies: { http_proxy: proxy.url.href } });
  assert.deepEqual(await downloader.fetchBlob({ ...request, url: new URL('http://mirror.invalid/pool/x') }), CONTENT);
  assert.equal(proxy.requests[0]!.headers.host, 'mirror.invalid');
});

test('an abort ends the transfer, keeps the part, and leaves no final file', async (t) => {
  const controller = new AbortController();
  const { server, downloader, request, cache } = await setUp(t, { signal: controller.signal, onProgress: () => controller.abort() });
  server.surprise('pool/x', (_request, response) => void response.writeHead(200).write(CONTENT.subarray(0, 5000)));
  await assert.rejects(downloader.fetchBlob(request), { name: 'AbortError' });
  assert.equal(await cache.readBlob(request.sha256, 'x'), undefined);
  assert.deepEqual(await readdir(cache.path('parts')), [`${request.sha256}.part`]);
});

test('a damaged cached file is dropped with a notice and fetched again', async (t) => {
  const { server, downloader, request, cache, notices } = await setUp(t);
  await downloader.fetchBlob(request);
  await writeFile(cache.blobPath(request.sha256), CONTENT.subarray(1));
  assert.deepEqual(await downloader.fetchBlob(request), CONTENT);
  assert.equal(server.countOf('pool/x'), 2);
  assert.match(notices.join(), /cached copy of x was damaged/);
});

test('two downloads of the same file do not disturb each other', async (t) => {
  const { downloader, request, cache } = await setUp(t);
  const all = await Promise.all([downloader.fetchBlob(request), downloader.fetchBlob(request), downloader.fetchBlob(request)]);
  for (const bytes of all) assert.deepEqual(bytes, CONTENT);
  assert.deepEqual(await readFile(cache.blobPath(request.sha256)), CONTENT);
});

test('reads local mirrors without copying, and checks them', async (t) => {
  const { downloader, request, cache } = await setUp(t);
  const path = join(await temporaryDirectory(t), 'x');
  await writeFile(path, CONTENT);
  const local = { ...request, url: pathToFileURL(path) };
  assert.deepEqual(await downloader.fetchBlob(local), CONTENT);
  assert.equal(await cache.readBlob(request.sha256, 'x'), undefined);
  await writeFile(path, 'other');
  await assert.rejects(downloader.fetchBlob(local), /not the file that the index names/);
  await assert.rejects(downloader.fetchBlob({ ...local, url: pathToFileURL(`${path}2`) }), NotFoundError);
});

test('says what to do when the cache cannot be used', async (t) => {
  const { request, downloader, cache } = await setUp(t);
  await writeFile(cache.path('parts'), 'a file');
  await assert.rejects(downloader.fetchBlob(request), (error: unknown) => error instanceof ImageError && /HANOK_CACHE/.test(error.message));
  for (const [code, mend] of [['ENOSPC', 'no space left'], ['EACCES', 'permission denied'], ['EROFS', 'read-only'], ['EIO', 'check the disk']] as const) {
    const explained = cacheError(Object.assign(new Error('system'), { code }), '/cache/x');
    assert.ok(explained instanceof ImageError && explained.message.includes('/cache/x') && explained.message.includes(mend), code);
    assert.match(explained.message, /HANOK_CACHE/);
  }
});
