import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { readDebControl, readDebTree } from '../debian/deb-file.ts';
import { makeDeb } from '../testing/debian-fixture.ts';
import type { FileSpec } from '../testing/debian-fixture.ts';
import { UnpackedPackage, aptExtendedStates, dpkgDatabase } from './dpkg-database.ts';

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

async function unpacked(control: Record<string, string>, files: readonly FileSpec[]): Promise<UnpackedPackage> {
  const deb = await makeDeb(files, '', control);
  return new UnpackedPackage(await readDebControl(deb, 'fixture'), await readDebTree(deb, 'fixture'), 'fixture');
}

const CONTROL = 'Package: tool\nVersion: 1:2-3\nArchitecture: amd64\nMaintainer: Somebody <a@b>\nDescription: a tool\n It has\n .\n more lines.\n';

test('writes the stanza of an unpacked package, with the sums of its configuration files', async () => {
  const found = await unpacked(
    { control: CONTROL, conffiles: '/etc/tool.conf\nremove-on-upgrade /etc/old.conf\n', postinst: '#!/bin/sh\n', shlibs: 'libtool 1 tool\n' },
    [{ name: './', type: 'directory' }, { name: './etc/', type: 'directory' }, { name: './etc/tool.conf', content: 'a=1\n' }, { name: './usr/bin/tool', content: 'x' }, { name: './usr/bin/twin', type: 'link', linkname: './usr/bin/tool' }],
  );
  assert.equal(
    found.status(),
    `Package: tool\nStatus: install ok unpacked\nVersion: 1:2-3\nArchitecture: amd64\nMaintainer: Somebody <a@b>\nDescription: a tool\n It has\n .\n more lines.\nConffiles:\n /etc/tool.conf ${md5('a=1\n')}`,
  );
  assert.equal(found.hasPreinst, false);
  const files = new Map(found.infoFiles().map((file) => [file.path, file]));
  assert.deepEqual([...files.keys()].sort(), ['info/tool.conffiles', 'info/tool.list', 'info/tool.md5sums', 'info/tool.postinst', 'info/tool.shlibs']);
  assert.equal(files.get('info/tool.list')!.content, '/.\n/etc\n/etc/tool.conf\n/usr/bin/tool\n/usr/bin/twin\n');
  // The package has no md5sums of its own: made, without the configuration files.
  assert.equal(files.get('info/tool.md5sums')!.content, `${md5('x')}  usr/bin/tool\n${md5('x')}  usr/bin/twin\n`);
  assert.deepEqual([files.get('info/tool.postinst')!.isScript, files.get('info/tool.shlibs')!.isScript], [true, false]);
});

test('names the files of a package for several architectures after its own', async () => {
  const found = await unpacked({ control: 'Package: libx\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\n', md5sums: 'abc  usr/lib/x\n', preinst: '#!/bin/sh\n' }, []);
  assert.equal(found.id, 'libx:amd64');
  assert.ok(found.hasPreinst);
  assert.deepEqual(found.infoFiles().map(({ path }) => path).sort(), ['info/libx:amd64.list', 'info/libx:amd64.md5sums', 'info/libx:amd64.preinst']);
  await assert.rejects(unpacked({ control: 'Description: nothing\n' }, []), /fixture has no name or version/);
});

test('makes the whole database, with the triggers that packages wait for', async () => {
  const packages = [
    await unpacked({ control: CONTROL, triggers: '# a comment\ninterest-noawait /usr/share/man\ninterest ldconfig\nactivate-noawait other\n' }, []),
    await unpacked({ control: 'Package: libx\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\n', triggers: 'interest-await /usr/lib/x\ninterest-noawait ldconfig\n' }, []),
  ];
  const files = new Map(dpkgDatabase(packages).map(({ path, content }) => [path, String(content)]));
  assert.equal(files.get('triggers/File'), '/usr/share/man tool/noawait\n/usr/lib/x libx:amd64\n');
  assert.equal(files.get('triggers/ldconfig'), 'tool\nlibx:amd64/noawait\n');
  assert.match(files.get('status')!, /^Package: tool\n[\s\S]*\n\nPackage: libx\nStatus: install ok unpacked\n[\s\S]*\n\n$/);
  assert.equal(files.get('info/format'), '1\n');
  assert.equal(aptExtendedStates(packages, new Set(['tool'])), 'Package: libx\nArchitecture: amd64\nAuto-Installed: 1\n\n');
});
