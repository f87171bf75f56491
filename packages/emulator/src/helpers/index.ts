import type { Helper, SystemHelper } from '../helper.ts';
import { SSE_HELPERS } from '../sse/helpers.ts';
import { XSAVE_HELPERS } from '../x87/xsave.ts';
import { X87_HELPERS } from '../x87/helpers.ts';
import { CONTROL_HELPERS } from './control-registers.ts';
import { FLAG_HELPERS } from './flags.ts';
import { miscHelpers } from './misc.ts';
import { msrHelpers, type MsrFile } from './msr.ts';
import { PORT_HELPERS } from './ports.ts';
import { SEGMENT_HELPERS } from './segments.ts';
import { systemCallHelpers } from './system-calls.ts';
import { TRANSFER_HELPERS } from './transfers.ts';

/** Every helper by the name that instruction bodies use. */
function systemHelpers(msrs: MsrFile): Record<string, Helper | SystemHelper> {
  return {
    ...CONTROL_HELPERS, ...FLAG_HELPERS, ...PORT_HELPERS, ...SEGMENT_HELPERS, ...TRANSFER_HELPERS, ...X87_HELPERS, ...XSAVE_HELPERS, ...SSE_HELPERS,
    ...miscHelpers(), ...msrHelpers(msrs), ...systemCallHelpers(msrs),
  };
}

/** The helpers of an interpreter, which numbers them. */
export function numberedHelpers(names: readonly string[], msrs: MsrFile): (Helper | SystemHelper)[] {
  const known = systemHelpers(msrs);
  return names.map((name) => {
    const helper = known[name];
    if (!helper) throw new Error(`no helper ${name} for an instruction that names it`);
    return helper;
  });
}
