/** Random programs with branches, loops and calls, on the emulated processor and on the host's own. HANOK_PROGRAMS_SEED repeats a run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RegionArchive } from '@hanok/emulator';
import { type ShapeTable, shapeTableOf } from '@hanok/emulator/shared';
import type { TestCase, TestResult } from './driver.ts';
import { createInterpreterDriver } from './emulated.ts';
import { FX } from './layout.ts';
import { NativeDriver, nativeOracleUnavailable } from './native.ts';
import { generateFrameProgram } from './frame-program.ts';
import { generateProgram } from './program.ts';
import { generateX87Program } from './x87-program.ts';
import type { InterpreterDriver } from './interpreter.ts';
import { Random } from './random.ts';

const seed = Number(process.env['HANOK_PROGRAMS_SEED'] ?? 1);
const count = Number(process.env['HANOK_PROGRAMS'] ?? 400);
/** Their code is long and takes longer to compile: this part of the count. */
const X87_SHARE = 4;
/** In regions that grow a program runs seven times: one of so many does. */
const GROWING_SHARE = 4;

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** Control and status word, which registers are in use, and what they hold. */
function x87Of(fx: Uint8Array): string {
  const registers = Array.from({ length: 8 }, (_, index) => fx.subarray(FX.registers + 16 * index, FX.registers + 16 * index + 10));
  return [fx.subarray(FX.control, FX.tag + 1), ...registers].map(hex).join(', ');
}

/** What a result and the processor's disagree on. */
function differences(expected: TestResult, actual: TestResult): string[] {
  const lines: string[] = [];
  if (expected.rip !== actual.rip) lines.push(`RIP ${expected.rip.toString(16)}, got ${actual.rip.toString(16)}`);
  if (expected.rflags !== actual.rflags) lines.push(`RFLAGS ${expected.rflags.toString(16)}, got ${actual.rflags.toString(16)}`);
  expected.gpr.forEach((value, index) => value !== actual.gpr[index] && lines.push(`register ${index} ${value.toString(16)}, got ${actual.gpr[index]!.toString(16)}`));
  const [expectedX87, actualX87] = [x87Of(expected.fx), x87Of(actual.fx)];
  if (expectedX87 !== actualX87) lines.push(`x87 ${expectedX87}, got ${actualX87}`);
  for (let offset = FX.xmm; offset < FX.end; offset += 16) {
    const [a, b] = [expected.fx.subarray(offset, offset + 16), actual.fx.subarray(offset, offset + 16)];
    if (hex(a) !== hex(b)) lines.push(`XMM${(offset - FX.xmm) / 16} ${hex(a)}, got ${hex(b)}`);
  }
  const at = expected.memory.findIndex((value, index) => value !== actual.memory[index]);
  if (at >= 0) lines.push(`memory at ${at.toString(16)}`);
  return lines;
}

const shapesOf = ({ memory }: InterpreterDriver) => shapeTableOf(memory.memory, 0);

const describe = (program: TestCase) => `program at ${program.codeAddress.toString(16)}: ${hex(program.code)}`;

/** The same programs in another machine, which has the regions and the shapes of the first: what it compiles and learns itself is little. */
function runAgain(run: readonly { readonly index: number; readonly program: TestCase; readonly expected: TestResult }[], regions: readonly Uint8Array[], shapes: ShapeTable, isScattered: boolean): void {
  assert.ok(regions.length >= run.length / 2, `${regions.length} regions of ${run.length} programs were kept`);
  let compiledCount = 0;
  const archive = new RegionArchive(() => void compiledCount++, regions);
  const other = createInterpreterDriver({ compiled: true, archive, isScattered, shapes: shapes.save() });
  for (const { index, program, expected } of run) assert.deepEqual(differences(expected, other.run(program)), [], `${index}, from the archive: ${describe(program)}`);
  assert.ok(compiledCount < regions.length / 2, `${compiledCount} regions were compiled although ${regions.length} were kept`);
  const newCount = shapesOf(other).shapeCount - shapes.shapeCount;
  assert.ok(newCount < shapes.shapeCount / 5, `${newCount} shapes were learned although ${shapes.shapeCount} were kept`);
}

const unavailable = nativeOracleUnavailable();
if (unavailable) {
  test('random programs: not applicable', (t) => t.diagnostic(unavailable));
} else {
  const reference = new NativeDriver();
  const kinds = [
    ['random programs', generateProgram, count, false], ['random programs of the x87', generateX87Program, Math.ceil(count / X87_SHARE), false],
    ['random programs about frames', generateFrameProgram, count, false], ['random programs about frames on pages apart', generateFrameProgram, count, true],
  ] as const;
  for (const [name, generate, programs, isScattered] of kinds) {
    test(`${name} agree with the host processor, HANOK_PROGRAMS_SEED=${seed}, ${programs} programs`, () => {
      const random = new Random(seed);
      const regions: Uint8Array[] = [];
      const subject = createInterpreterDriver({ compiled: true, archive: new RegionArchive((region) => void regions.push(region)), isScattered });
      let grownCount = 0;
      const growing = createInterpreterDriver({ compiled: true, isGrowing: true, isScattered, onRequest: ({ code }) => void (code.isGrown && grownCount++) });
      const run = Array.from({ length: programs }, (_, index) => {
        const program = generate(random);
        const expected = reference.run(program);
        assert.deepEqual(differences(expected, subject.run(program)), [], `${index}: ${describe(program)}`);
        if (index % GROWING_SHARE === 0) assert.deepEqual(differences(expected, growing.run(program)), [], `${index}, while regions grow: ${describe(program)}`);
        return { index, program, expected };
      });
      const grew = Math.ceil(programs / GROWING_SHARE);
      assert.ok(grownCount > grew / 2, `${grownCount} regions of ${grew} programs grew`);
      runAgain(run.reverse(), regions, shapesOf(subject), isScattered);
    });
  }
}
