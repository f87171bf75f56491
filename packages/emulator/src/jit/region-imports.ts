import type { ModuleBuilder } from '@hanok/wasm';
import { EXACT_FLOATS, exactFloatFunctionType } from '../float/names.ts';
import { routineFunctions } from '../routines.ts';
import { X87_QUICK, x87QuickFunctionType } from '../x87/quick/names.ts';
import type { RegionCallees } from './template-writer.ts';

const FLAGS = ['CF', 'PF', 'AF', 'SF', 'OF'] as const;

/** Imports what regions call into a module; in all modules it stands in the same places. */
export function importCallees(module: ModuleBuilder): RegionCallees {
  const access = module.type(['i32', 'i64', 'i32'], ['i32']);
  const host = (name: string, type: number) => module.importFunction('env', name, type);
  const slowRead = host('regionRead', access);
  const slowWrite = host('regionWrite', access);
  const slowModify = host('regionModify', access);
  const slowLock = host('regionLock', access);
  const fetchAddress = host('fetchAddress', module.type(['i32', 'i64'], ['i32']));
  const flagType = module.type(['i32'], ['i32']);
  const [CF, PF, AF, SF, OF] = FLAGS.map((name) => host(`flag${name}`, flagType)) as [number, number, number, number, number];
  const L = host('flagL', flagType);
  const flagsImage = host('flagsImage', module.type(['i32'], ['i64']));
  const bulk = module.type(['i32', 'i64', 'i64', 'i64', 'i32'], ['i64']);
  const [copyForward, fillForward] = [host('copyForward', bulk), host('fillForward', bulk)];
  const timeStamp = host('timeStamp', module.type(['i32'], ['i64']));
  const regionHelper = host('regionHelper', module.type(['i32', 'i32', 'i32', 'i32'], ['i32']));
  const leaveRegion = host('leaveRegion', module.type(['i32', 'i64', 'i32', 'i32', 'i32', 'i32', 'i64', 'i64', 'i64', 'i32'], ['i32']));
  const linkRegions = host('linkRegions', module.type(['i32', 'i32', 'i64', 'i32'], ['i32']));
  const jumpRegions = host('jumpRegions', module.type(['i32', 'i64', 'i32'], ['i32']));
  const group = module.type(['i32', 'i64', 'i32', 'i32'], ['i32']);
  const [groupRead, groupWrite] = [host('groupRead', group), host('groupWrite', group)];
  const routine = routineFunctions(module);
  const floats = module.importTable('env', 'floats', { min: EXACT_FLOATS.length + X87_QUICK.length });
  const exactFloatTypes = EXACT_FLOATS.map((name) => exactFloatFunctionType(module, name));
  const x87Types = X87_QUICK.map((name) => x87QuickFunctionType(module, name));
  const exactFloat: RegionCallees['exactFloat'] = (code, name) => {
    const index = EXACT_FLOATS.indexOf(name);
    code.i32(index).callIndirect(exactFloatTypes[index]!, floats);
  };
  const x87: RegionCallees['x87'] = (code, name) => {
    const index = X87_QUICK.indexOf(name);
    code.i32(EXACT_FLOATS.length + index).callIndirect(x87Types[index]!, floats);
  };
  return { exactFloat, x87, slowRead, slowWrite, slowModify, slowLock, slowUnlock: -1, flag: { CF, PF, AF, SF, OF, L }, flagsImage, copyForward, fillForward, timeStamp, routine, regionHelper, leaveRegion, linkRegions, jumpRegions, groupRead, groupWrite, fetchAddress, slowAddress: -1, segmentLinear: -1, helper: -1 };
}
