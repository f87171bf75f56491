import { type Insn, insn, row } from '../insn.ts';
import { compareLanes, compareLowest } from './sse-arithmetic.ts';
import { FLOAT_FORMATS, type FloatFormat, mergeLow } from './sse-vector.ts';

/** Comparisons of SSE and SSE2 (SDM vol. 1 §10.4.1.3, §11.4.1.4). */

function compareForm(format: FloatFormat): Insn {
  const { prefix, vector, laneBytes, scalar } = FLOAT_FORMATS[format];
  return insn(`CMP${format.toUpperCase()}`, {
    rows: [row(`${prefix} 0F C2`, `V${format},W${format},Ib`)],
    body(e, o) {
      const b = o.readVector(1);
      const a = o.readVector(0);
      const mask = compareLanes(e, vector, a, b, o.read(2));
      o.writeVector(0, scalar ? mergeLow(e, laneBytes, mask, a) : mask);
    },
  });
}

export const CMPPS = compareForm('ps');
export const CMPPD = compareForm('pd');
export const CMPSS = compareForm('ss');
/** Not the string instruction of the same name. */
export const CMPSD_SCALAR = compareForm('sd');

/**
 * COMI and UCOMI: unordered sets ZF, PF and CF, less sets CF, equal sets ZF (SDM vol. 2A, "COMISD"). They differ only in
 * which NaNs raise the invalid exception.
 */
function orderedForm(name: string, opcode: string, format: 'ss' | 'sd'): Insn {
  const { vector, element } = FLOAT_FORMATS[format];
  const prefix = format === 'ss' ? 'NP' : '66';
  return insn(name, {
    rows: [row(`${prefix} 0F ${opcode}`, `V${format},W${format}`)],
    body(e, o) {
      const b = e.lane(`${vector}.extract_lane`, 0, o.readVector(1));
      const a = e.lane(`${vector}.extract_lane`, 0, o.readVector(0));
      const { equal, less, unordered } = compareLowest(e, element, a, b);
      const clear = e.constant32(0);
      e.flagsSet({ ZF: equal, PF: unordered, CF: less, OF: clear, SF: clear, AF: clear });
    },
  });
}

export const COMISS = orderedForm('COMISS', '2F', 'ss');
export const COMISD = orderedForm('COMISD', '2F', 'sd');
export const UCOMISS = orderedForm('UCOMISS', '2E', 'ss');
export const UCOMISD = orderedForm('UCOMISD', '2E', 'sd');

export const SSE_COMPARE = [CMPPS, CMPPD, CMPSS, CMPSD_SCALAR, COMISS, COMISD, UCOMISS, UCOMISD];
