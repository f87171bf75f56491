import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { imageFor, runInImage } from './guest.ts';

/** Symbols of the kernel's image by address; modules' have their names behind. */
function readKallsyms(text: string): Map<string, string[]> {
  const symbols = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address, , name, module] = line.split(/\s+/);
    if (address && name && !module) symbols.set(address, [...(symbols.get(address) ?? []), name]);
  }
  return symbols;
}

test('a profile names kernel code as the kernel itself does', { timeout: 300_000 }, async (t) => {
  if (!(await imageFor(t))) return;
  const folder = await mkdtemp(join(tmpdir(), 'hanok-profile-'));
  try {
    const path = join(folder, 'profile.json');
    const { output, errors, status } = await runInImage(t, 'tiny', ['--profile', path], ['cat', '/proc/kallsyms']);
    assert.equal(status, 0, errors);
    const symbols = readKallsyms(output);
    const addresses = [...symbols.keys()].sort();
    const { shared, profiles } = JSON.parse(await readFile(path, 'utf8'));
    const stacks = new Set<string>(profiles[0].samples.map((stack: number[]) => stack.map((frame) => shared.frames[frame].name).join(' ')));
    const seen = [...stacks].flatMap((stack) => {
      const [, symbol, address] = /^kernel ([a-z_]\S*) compiled 0x([0-9a-f]{16})$/i.exec(stack) ?? [];
      return symbol && address ? [{ symbol, address }] : [];
    });
    assert.ok(seen.length > 30, `only ${seen.length} regions of the kernel in ${stacks.size} stacks`);
    for (const { symbol, address } of seen) {
      const start = addresses.findLast((one) => one <= address)!;
      assert.ok(symbols.get(start)!.includes(symbol), `0x${address} is in ${symbols.get(start)!.join(', ')}, not in ${symbol}`);
    }
    for (const what of [/% +[\d.XX code$/m, /% +[\d.]+ s +interpreter$/m, /% +[\d.]+ s +TLB miss$/m, /^compiled: [1-9]\d+ regions of [1-9]\d+ instructions/m, /^tlb miss +[1-9]/m]) {
      assert.match(errors, what);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
