/**
 * Every row in every mode, as we print it and as objdump does. HANOK_DISASSEMBLER_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL_ROWS, Decoder, disassemble, type ModeBits, type Row } from '@hanok/x86';
import { rowForms } from '../conformance/forms.ts';
import { Random } from '../conformance/random.ts';
import { drawRow, encodeForm } from './bytes.ts';
import { compare, unknownToObjdump } from './compare.ts';
import { disassembleEach, objdumpVersion } from './objdump.ts';

const CASES_PER_FORM = 10;
const CASES_PER_ROW = 24;
/** Draws until one is the row itself: ModRM may choose another. */
const DRAWS_MAX = 2000;
const DIFFERENCES_SHOWN = 20;
const seed = Number(process.env['HANOK_DISASSEMBLER_SEED'] ?? 1);
const version = objdumpVersion();
const skip = version === undefined && 'objdump is not installed; apt-get install binutils';

test('every form of every row in 64-bit mode', { skip }, (t) => {
  const random = new Random(seed);
  const codes = ALL_ROWS.flatMap((row) => rowForms(row)).flatMap((form) => {
    const found = Array.from({ length: CASES_PER_FORM }, () => encodeForm(random, form, 0)).filter((code) => code !== undefined && code.length <= 15);
    assert.ok(found.length > 0, `${form.row.insn.name} [${form.row.text}] ${form.bits} bits has no encoding`);
    return found as Uint8Array[];
  });
  const count = compareAll(codes, 64);
  t.diagnostic(`seed ${seed}: ${count} instructions agree with ${version}`);
});

for (const mode of [16, 32, 64] as const) {
  test(`every row with random ModRM and prefixes in ${mode}-bit mode`, { skip }, (t) => {
    const random = new Random(seed, mode);
    const decoder = new Decoder();
    const codes: Uint8Array[] = [];
    for (const row of ALL_ROWS.filter((row) => existsIn(row, mode))) {
      let own = 0;
      for (let count = 0; count < CASES_PER_ROW || (own === 0 && count < DRAWS_MAX); count++) {
        const code = drawRow(random, row, mode);
        const decoded = decoder.decode(code, 0, code.length, mode);
        if (typeof decoded === 'string') continue;
        if (decoded.row === row) own++;
        codes.push(code.subarray(0, decoded.lengthBytes).slice());
      }
      assert.ok(own > 0, `no bytes decode to ${row.insn.name} [${row.text}] in ${mode}-bit mode`);
    }
    const count = compareAll(codes, mode);
    t.diagnostic(`seed ${seed}: ${count} instructions agree with ${version}`);
  });
}

/** VEX needs protected mode, and 16-bit code here is real mode's too. */
function existsIn({ options, rexW, vexLength }: Row, mode: ModeBits): boolean {
  if (mode === 64) return !options.not64;
  return !options.only64 && !rexW && !(mode === 16 && vexLength !== undefined);
}

/** Compares and gives how many instructions agreed; throws with the first differences of each row. */
function compareAll(codes: readonly Uint8Array[], mode: ModeBits): number {
  const differences = new Map<string, string>();
  let agreed = 0;
  disassembleEach(codes, mode).forEach((line, index) => {
    const code = codes[index]!;
    const ours = disassemble(code, { mode, address: line.address });
    if (unknownToObjdump(code, mode, line.address)) return;
    const difference = compare(ours, line);
    if (difference === undefined) agreed++;
    else differences.set(ours.text.replace(/ .*/, ''), difference);
  });
  assert.equal(differences.size, 0, `seed ${seed}, ${mode}-bit mode:\n${[...differences.values()].slice(0, DIFFERENCES_SHOWN).join('\n')}`);
  return agreed;
}
