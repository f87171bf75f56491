import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { crc32 } from 'node:zlib';
import { ModuleBuilder } from '@hanok/wasm';
import { keepCode, moduleWithCode } from './code-file.ts';
import { ModuleCode } from './module-code.ts';

/** (n) → n + `more`, one by one. Each test has its own: V8 knows modules again by their bytes. */
function countingModule(more: number): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const f = module.function(module.type(['i32'], ['i32']));
  const count = f.local('i32');
  f.code.loop().localGet(count).i32(1).op('i32.add').localTee(count).localGet(0).op('i32.lt_s').brIf(0).op('end');
  f.code.localGet(count).i32(more).op('i32.add');
  module.export('count', 'func', f.index);
  return module.toBytes() as Uint8Array<ArrayBuffer>;
}

const countOf = (module: WebAssembly.Module) => new WebAssembly.Instance(module).exports['count'] as (n: number) => number;

/** A module that V8 has optimized: its own code grows only then. */
function optimized(moduleCode: ModuleCode, bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const module = new WebAssembly.Module(bytes);
  const before = moduleCode.serialize(module).length;
  const count = countOf(module);
  for (let round = 0; moduleCode.serialize(module).length === before; round++) {
    assert.ok(round < 1000, 'V8 does not optimize it');
    count(10_000_000);
  }
  return module;
}

function temporaryPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'hanok-code-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'name');
}

const moduleCode = ModuleCode.open();
if (!moduleCode) {
  test('machine code of modules: not applicable', (t) => t.diagnostic(`Node ${process.version} on ${process.platform} ${process.arch} has its own`));
} else {
  test('a module comes back with its machine code', () => {
    const bytes = countingModule(1);
    const code = moduleCode.serialize(optimized(moduleCode, bytes));
    const module = moduleCode.deserialize(code, bytes);
    assert.ok(module);
    assert.equal(moduleCode.serialize(module).length, code.length, 'optimized before it was called');
    assert.equal(countOf(module)(1000), 1001);
    assert.ok(!(0 in globalThis));
  });

  test('code that was kept with other flags is not taken', (t) => {
    const path = temporaryPath(t);
    const bytes = countingModule(2);
    keepCode(path, optimized(moduleCode, bytes), crc32(bytes));
    setFlagsFromString('--wasm-tiering-budget=12345678');
    assert.equal(moduleWithCode(path, bytes), undefined);
    setFlagsFromString('--wasm-tiering-budget=13000000');
    assert.ok(moduleWithCode(path, bytes));
  });

  test('a file gives its module alone its machine code, unless it is damaged', (t) => {
    const path = temporaryPath(t);
    const bytes = countingModule(3);
    assert.equal(moduleWithCode(path, bytes), undefined);
    keepCode(path, optimized(moduleCode, bytes), crc32(bytes));
    const module = moduleWithCode(path, bytes);
    assert.ok(module);
    assert.equal(countOf(module)(17), 20);
    assert.equal(moduleWithCode(path, countingModule(4)), undefined);
    const file = readFileSync(path);
    for (const at of [0, 4, 8, 12, file.length - 1]) {
      const damaged = Buffer.from(file);
      damaged[at]! ^= 1;
      writeFileSync(path, damaged);
      assert.equal(moduleWithCode(path, bytes), undefined, `byte ${at}`);
    }
    writeFileSync(path, file);
    truncateSync(path, file.length - 1);
    assert.equal(moduleWithCode(path, bytes), undefined);
  });

  test('a file is written anew for more code, or for another module', (t) => {
    const path = temporaryPath(t);
    const bytes = countingModule(5);
    const module = optimized(moduleCode, bytes);
    keepCode(path, module, crc32(bytes));
    const { ino } = statSync(path);
    keepCode(path, module, crc32(bytes));
    assert.equal(statSync(path).ino, ino);
    const other = countingModule(6);
    keepCode(path, new WebAssembly.Module(other), crc32(other));
    assert.equal(statSync(path).ino, ino, 'nothing is optimized');
    keepCode(path, optimized(moduleCode, other), crc32(other));
    assert.notEqual(statSync(path).ino, ino);
    keepCode(join(path, 'not-a-folder'), module, crc32(bytes));
  });
}
