import type { Emit, Value } from '../emit.ts';
import { type Insn, insn, row } from '../insn.ts';
import { addSubtract, arithmetic, roundToIntegral } from './sse-arithmetic.ts';
import { everySecond, FLOAT_FORMATS, type FloatFormat, laneMask, vectorForm } from './sse-vector.ts';

/** Floating-point arithmetic of SSE3 and SSE4.1 (SDM vol. 1 §12.3.4, §12.3.5, §12.10.2, §12.10.8). */

/** F2 before singles, 66 before doubles. */
const PACKED = [['ps', 'F2'], ['pd', '66']] as const;

/** Neighbours of the destination, then of the source, combined. */
const horizontalForms = (name: string, opcode: string, operation: 'add' | 'sub') =>
  PACKED.map(([format, prefix]) => {
    const { laneBytes } = FLOAT_FORMATS[format];
    return vectorForm(name + format.toUpperCase(), `${prefix} 0F ${opcode}`, `V${format},W${format}`, (e, a, b) =>
      arithmetic(e, operation, format, everySecond(e, laneBytes, 0, a, b), everySecond(e, laneBytes, 1, a, b)));
  });

const ADD_SUBTRACT = PACKED.map(([format, prefix]) =>
  vectorForm(`ADDSUB${format.toUpperCase()}`, `${prefix} 0F D0`, `V${format},W${format}`, (e, a, b) => addSubtract(e, format, a, b)));

function roundForm(format: FloatFormat, opcode: string): Insn {
  return insn(`ROUND${format.toUpperCase()}`, {
    rows: [row(`66 0F 3A ${opcode}`, `V${format},W${format},Ib`)],
    body(e, o) {
      const source = o.readVector(1);
      o.writeVector(0, roundToIntegral(e, format, o.readVector(0), source, o.read(2)));
    },
  });
}

/** Neighbouring lanes of `laneBytes` exchanged. */
function exchangeLanes(e: Emit, v: Value, laneBytes: number): Value {
  return e.shuffle(Array.from({ length: 16 }, (_, byte) => byte ^ laneBytes), v, v);
}

const sumOfPairs = (e: Emit, v: Value) => arithmetic(e, 'add', 'ps', v, exchangeLanes(e, v, 8));

/**
 * DPPS and DPPD: products where the immediate's upper half has a bit, added in pairs and each sum rounded; the result
 * goes where its lower half has one. Which of several NaNs comes out of a lane is as on Intel's processors (measured).
 */
function dotProductForm(format: 'ps' | 'pd', opcode: string): Insn {
  const { laneBytes } = FLOAT_FORMATS[format];
  return insn(`DP${format.toUpperCase()}`, {
    rows: [row(`66 0F 3A ${opcode}`, `V${format},W${format},Ib`)],
    body(e, o) {
      const control = o.read(2);
      const factors = laneMask(e, laneBytes, e.shrU(control, e.constant(4)));
      const source = e.op('v128.and', o.readVector(1), factors);
      const products = arithmetic(e, 'mul', format, e.op('v128.and', o.readVector(0), factors), source);
      const neighbours = exchangeLanes(e, products, laneBytes);
      const sum = format === 'pd' ? arithmetic(e, 'add', format, products, neighbours) : sumOfPairs(e, arithmetic(e, 'add', format, neighbours, products));
      o.writeVector(0, e.op('v128.and', sum, laneMask(e, laneBytes, control)));
    },
  });
}

export const SSE4_FLOAT = [
  ...ADD_SUBTRACT, ...horizontalForms('HADD', '7C', 'add'), ...horizontalForms('HSUB', '7D', 'sub'),
  roundForm('ps', '08'), roundForm('pd', '09'), roundForm('ss', '0A'), roundForm('sd', '0B'), dotProductForm('ps', '40'), dotProductForm('pd', '41'),
];
