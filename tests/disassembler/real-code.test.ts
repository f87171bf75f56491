/**
 * Code that compilers made: what objdump finds in a library of the host, printed by us. Instructions that we do not
 * declare are counted; HANOK_DISASSEMBLER_FILE names another file.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { disassemble } from '@hanok/x86';
import { compare, unknownToObjdump } from './compare.ts';
import { disassembleFile, type Line, objdumpVersion } from './objdump.ts';

const FWAIT = 0x9b;
const MNEMONICS_SHOWN = 40;
const DIFFERENCES_SHOWN = 20;
const INSTRUCTIONS_MIN = 10_000;

const candidates = [process.env['HANOK_DISASSEMBLER_FILE'], '/lib/x86_64-linux-gnu/libc.so.6', '/lib64/libc.so.6', '/usr/lib/libc.so.6', '/bin/busybox'];
const file = candidates.find((path) => path !== undefined && existsSync(path));
const version = objdumpVersion();
const skip = version === undefined ? 'objdump is not installed; apt-get install binutils' : file === undefined && 'no libc.so.6 where it usually is; name a file in HANOK_DISASSEMBLER_FILE';

/** Prefix words are no mnemonic. */
function mnemonic(text: string): string {
  return text.replace(/^((rep|repz|repnz|lock|bnd|notrack|data16|addr32|[c-gs]s) )+/, '').replace(/ .*/, '');
}

/** objdump joins FWAIT with the instruction behind it (`fstcw`), prints what a prefix makes invalid, and data. */
const isComparable = ({ bytes, text }: Line) => !text.includes('(bad)') && text !== '' && !(bytes[0] === FWAIT && bytes.length > 1);

test(`the code of ${file}`, { skip }, (t) => {
  const undeclared = new Map<string, number>();
  const differences: string[] = [];
  let agreed = 0;
  for (const line of disassembleFile(file!).filter(isComparable)) {
    const ours = disassemble(line.bytes, { mode: 64, address: line.address });
    if (ours.text === '(bad)') {
      const name = mnemonic(line.text);
      undeclared.set(name, (undeclared.get(name) ?? 0) + 1);
    } else if (!unknownToObjdump(line.bytes, 64, line.address)) {
      const difference = compare(ours, line);
      if (difference === undefined) agreed++;
      else differences.push(difference);
    }
  }
  const counts = [...undeclared].sort((a, b) => b[1] - a[1]);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  t.diagnostic(`${agreed} instructions agree with ${version}; ${total} are not declared here, of ${counts.length} names`);
  t.diagnostic(counts.slice(0, MNEMONICS_SHOWN).map(([name, count]) => `${name} ${count}`).join(', '));
  assert.equal(differences.length, 0, `${differences.length} differ:\n${differences.slice(0, DIFFERENCES_SHOWN).join('\n')}`);
  assert.ok(agreed >= INSTRUCTIONS_MIN, `only ${agreed} instructions were compared`);
});
