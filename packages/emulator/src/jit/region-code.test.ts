import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ModuleBuilder } from '@hanok/wasm';
import { RegionCode } from './region-code.ts';
import { RegionLocals } from './virtual-locals.ts';

test('what is put in may be any address of a memory of 4 GiB', () => {
  for (const address of [0, 1, 0x7fff_f000, 0x8000_0000, 0x8300_1000, 0xffff_f000]) {
    const module = new ModuleBuilder();
    const f = module.function(module.type([], ['i32']));
    module.export('address', 'func', f.index);
    const code = new RegionCode(new RegionLocals((type) => f.local(type)));
    f.code.append(code.placed('page', 1, address));
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.toBytes() as Uint8Array<ArrayBuffer>));
    assert.equal((exports['address'] as () => number)() >>> 0, address);
    assert.deepEqual(code.places, [{ at: 1, kind: 'page', of: 1 }]);
  }
});
