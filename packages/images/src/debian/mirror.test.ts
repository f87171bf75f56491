import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageError } from '../image-error.ts';
import { discoverProxies } from '../proxy.ts';
import type { CommandRunner } from '../proxy.ts';
import { candidateMirrors } from './mirror.ts';

const says = (output: string | undefined): CommandRunner => async () => output;
const hrefs = async (...args: Parameters<typeof candidateMirrors>): Promise<string[]> => (await candidateMirrors(...args)).map(({ href }) => href);

test('the caller, then the environment, then apt names the mirror', async () => {
  const apt = says('http://one.invalid/debian/\nhttp://one.invalid/debian/\ncdrom:[x]/\nhttp://two.invalid/security\n');
  assert.deepEqual(await hrefs('http://named.invalid/d', { HANOK_DEBIAN_MIRROR: 'http://env.invalid/' }, apt), ['http://named.invalid/d/']);
  assert.deepEqual(await hrefs(undefined, { HANOK_DEBIAN_MIRROR: 'http://env.invalid/d' }, apt), ['http://env.invalid/d/']);
  assert.deepEqual(await hrefs(undefined, {}, apt), ['http://one.invalid/debian/', 'http://two.invalid/security/']);
});

test('a directory is a mirror', async () => {
  assert.deepEqual(await hrefs('/srv/my debian', {}, says('')), ['file:///srv/my%20debian/']);
});

test('says how to name a mirror where apt does not', async () => {
  await assert.rejects(candidateMirrors(undefined, {}, says(undefined)), (error: unknown) => error instanceof ImageError && /HANOK_DEBIAN_MIRROR/.test(error.message));
  await assert.rejects(candidateMirrors('ftp://x.invalid/', {}, says('')), /is not a Debian mirror/);
  await assert.rejects(candidateMirrors('nonsense', {}, says('')), /HANOK_DEBIAN_MIRROR/);
});

test("apt's proxy goes before the environment's, and DIRECT means none", async () => {
  const dump = 'Acquire::http::Proxy "http://apt.invalid:3142";\nAcquire::http::Proxy::direct.invalid "DIRECT";\nAcquire::http::Proxy::own.invalid "http://own.invalid:1";\n';
  const environment = { http_proxy: 'http://env.invalid:8080', HTTPS_PROXY: 'http://tls.invalid:8080', no_proxy: 'a,b' };
  assert.equal((await discoverProxies('x.invalid', environment, says(dump))).http_proxy, 'http://apt.invalid:3142');
  assert.equal((await discoverProxies('x.invalid', environment, says(dump))).https_proxy, 'http://apt.invalid:3142');
  assert.equal((await discoverProxies('direct.invalid', environment, says(dump))).http_proxy, undefined);
  assert.equal((await discoverProxies('own.invalid', environment, says(dump))).http_proxy, 'http://own.invalid:1');
  assert.deepEqual(await discoverProxies('x.invalid', environment, says(undefined)), {
    http_proxy: 'http://env.invalid:8080',
    https_proxy: 'http://tls.invalid:8080',
    no_proxy: 'a,b',
  });
});
