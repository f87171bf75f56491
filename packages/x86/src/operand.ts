/**
 * Operand notation of SDM vol. 2D appendix A.2: an addressing letter and a type, as in `Ev` or `Wsd`. Added here: `Z`
 * (register in the opcode's low bits), `1` (the constant), and register names (`AL`, `rAX`, `CL`, `DX`, `ES`…).
 */
export type AddressingKind =
  | 'E' // ModRM.rm: general register or memory
  | 'G' // ModRM.reg: general register
  | 'B' // VEX.vvvv: general register
  | 'M' // ModRM.rm: memory only
  | 'R' // ModRM.rm: general register only
  | 'Z' // opcode bits 2:0: general register
  | 'I' // immediate
  | 'J' // relative branch target
  | 'O' // memory at an absolute offset
  | 'A' // far pointer immediate
  | 'S' // ModRM.reg: segment register
  | 'C' // ModRM.reg: control register
  | 'D' // ModRM.reg: debug register
  | 'V' // ModRM.reg: XMM register
  | 'W' // ModRM.rm: XMM register or memory
  | 'U' // ModRM.rm: XMM register only
  | 'P' // ModRM.reg: MMX register
  | 'Q' // ModRM.rm: MMX register or memory
  | 'N' // ModRM.rm: MMX register only
  | 'T' // ModRM.rm: x87 register ST(i)
  | 'fixed'; // a register the opcode implies, or the constant 1

/** Size letters: v = 16/32/64, z = 16/32, y = 32/64, p = far pointer, s = descriptor-table register image, a = pair of bounds. */
export type SizeCode = 'b' | 'w' | 'd' | 'q' | 'dq' | 'v' | 'z' | 'y' | 't' | 'p' | 's' | 'a' | 'none';

export interface OperandSpec {
  readonly kind: AddressingKind;
  readonly size: SizeCode;
  /** Register number (or the constant 1) of a fixed operand. */
  readonly fixed: number;
  readonly fixedClass: 'general' | 'segment' | 'constant';
  readonly inModrm: boolean;
  readonly text: string;
}

const TYPE_SIZES: Record<string, SizeCode> = {
  b: 'b', w: 'w', d: 'd', q: 'q', dq: 'dq', x: 'dq', ps: 'dq', pd: 'dq', ss: 'd', sd: 'q', v: 'v', z: 'z', y: 'y', t: 't', p: 'p', s: 's', a: 'a', '': 'none',
};

const MODRM_KINDS = 'EGMRSCDVWUPQNT';
const GENERAL = ['AX', 'CX', 'DX', 'BX', 'SP', 'BP', 'SI', 'DI'];
const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'];

function fixedOperand(text: string): OperandSpec | undefined {
  const common = { kind: 'fixed', inModrm: false, text } as const;
  if (text === '1') return { ...common, size: 'b', fixed: 1, fixedClass: 'constant' };
  if (SEGMENTS.includes(text)) return { ...common, size: 'w', fixed: SEGMENTS.indexOf(text), fixedClass: 'segment' };
  if (text === 'AL' || text === 'CL') return { ...common, size: 'b', fixed: text === 'AL' ? 0 : 1, fixedClass: 'general' };
  if (text === 'DX' || text === 'AX') return { ...common, size: 'w', fixed: GENERAL.indexOf(text), fixedClass: 'general' };
  if (text === 'eAX') return { ...common, size: 'z', fixed: 0, fixedClass: 'general' };
  if (text.startsWith('r') && GENERAL.includes(text.slice(1))) {
    return { ...common, size: 'v', fixed: GENERAL.indexOf(text.slice(1)), fixedClass: 'general' };
  }
  return undefined;
}

/** Parses `'Ev,Gv'`; throws on letters that are not in the notation. */
export function parseOperands(text: string): OperandSpec[] {
  if (text === '') return [];
  return text.split(',').map((part) => {
    const fixed = fixedOperand(part);
    if (fixed) return fixed;
    const letter = part[0]!;
    const size = TYPE_SIZES[part.slice(1)];
    if (!'EGBMRZIJOASCDVWUPQNT'.includes(letter) || !size) throw new Error(`unknown operand notation ${part}`);
    return { kind: letter as AddressingKind, size, fixed: 0, fixedClass: 'general', inModrm: MODRM_KINDS.includes(letter), text: part };
  });
}
