import { type Insn, insn, row } from '../insn.ts';
import { compareLanes, compareLowest } from './sse-arithmetic.ts';
import { FLOAT_FORMATS, type FloatFormat } from './sse-vector.ts';

/** Comparisons of SSE and SSE2 (SDM vol. 1 §10.4.1.3, §11.4.1.4). */

function compareForm(format: FloatFormat): Insn {
  const { prefix } = FLOAT_FORMATS[format];
  return insn(`CMP${format.toUpperCase()}`, {
    rows: [row(`${prefix} 0F C2`, `V${format},W${format},Ib`)],
    body(e, o) {
      const b = o.readVector(1);
      const a = o.readVector(0);
      o.writeVector(0, compareLanes(e, format, a, b, o.read(2)));
    },
  });
}

const CMPPS = compareForm('ps');
export const CMPPD = compareForm('pd');
const CMPSS = compareForm('ss');
/** Not the string instruction of the same name. */
const CMPSD_SCALAR = compareForm('sd');

/**
 * COMI and UCOMI: unordered sets ZF, PF and CF, less sets CF, equal sets ZF (SDM vol. 2A, "COMISD"). They differ only in
 * which NaNs raise the invalid exception.
 */
function orderedForm(name: string, opcode: string, format: 'ss' | 'sd'): Insn {
  const prefix = format === 'ss' ? 'NP' : '66';
  return insn(name, {
    rows: [row(`${prefix} 0F ${opcode}`, `V${format},W${format}`)],
    body(e, o) {
      const b = o.readVector(1);
      const { equal, less, unordered } = compareLowest(e, format, o.readVector(0), b, name.startsWith('U'));
      const clear = e.constant32(0);
      e.flagsSet({ ZF: equal, PF: unordered, CF: less, OF: clear, SF: clear, AF: clear });
    },
  });
}

export const COMISS = orderedForm('COMISS', '2F', 'ss');
export const COMISD = orderedForm('COMISD', '2F', 'sd');
const UCOMISS = orderedForm('UCOMISS', '2E', 'ss');
export const UCOMISD = orderedForm('UCOMISD', '2E', 'sd');

export const SSE_COMPARE = [CMPPS, CMPPD, CMPSS, CMPSD_SCALAR, COMISS, COMISD, UCOMISS, UCOMISD];
