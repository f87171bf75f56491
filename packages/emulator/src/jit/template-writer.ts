import type { Code } from '@hanok/wasm';
import type { ValueType } from '@hanok/x86';
import { type Callees, type Flow, Lowering } from '../ir.ts';
import { CPU, REGION_END } from '../layout.ts';
import type { CompiledInstruction } from './region-blocks.ts';
import { RegionEmitter } from './region-emitter.ts';
import { NotCompilable, type RegionExits } from './region-exits.ts';
import { type FlagState, RegionFlags } from './region-flags.ts';
import { RegionOperands } from './region-operands.ts';
import type { RegisterWidths, Widths } from './register-widths.ts';
import { type Template, TemplateCode } from './template-code.ts';
import { LOCAL, temporaryName, type VectorConstants } from './virtual-locals.ts';

/** What the host's helper call returns: goes on, leaves, leaves with the budget spent, stops. */
export const HELPER_END = { Next: 0, Leave: 1, LeaveSoon: 2, Stop: 3 } as const;
/** Marks a helper call that nothing of the region but its end follows. */
export const LAST_OF_REGION = 0x100;

/** What is the same for all regions. */
export interface RegionCallees extends Callees {
  /** (cpu, linear) → where in wasm memory the page at a linear address lies, fetched from; 0 where that would fault. */
  readonly fetchAddress: number;
  readonly regionHelper: number;
  /** `defineLeaveRegion`. */
  readonly leaveRegion: number;
  /** `defineLinkRegions`. */
  readonly linkRegions: number;
  /** `defineJumpRegions`. */
  readonly jumpRegions: number;
  /** `defineGroupAccess`, for groups that are only read and for others. */
  readonly groupRead: number;
  readonly groupWrite: number;
}

/** A template, what it depends on, and what it leaves behind. */
export interface InstructionTemplate extends Template {
  readonly flagsAfter: FlagState;
  readonly widthsRead: Widths;
  readonly widthsWritten: Widths;
  /** Names of the locals with the condition of the branch at its end, or where it jumps to; or -1. */
  readonly condition: number;
  readonly jumpTarget: number;
}

/** What templates are written with. */
export interface TemplateTools {
  readonly callees: RegionCallees;
  readonly constants: VectorConstants;
  helperNumber(name: string): number;
}

/** Writes the template of one instruction. */
export class TemplateWriter implements Flow, RegionExits {
  flagsHere: FlagState = 'memory';
  readonly #code = new TemplateCode(256);
  readonly #lowering: Lowering;
  readonly #flags = new RegionFlags();
  readonly #instruction: CompiledInstruction;
  readonly #tools: TemplateTools;

  constructor(instruction: CompiledInstruction, tools: TemplateTools) {
    this.#instruction = instruction;
    this.#tools = tools;
    const callees: Callees = {
      ...tools.callees,
      routine: (routine) => {
        this.#code.callsRoutine(routine);
        return 0;
      },
    };
    this.#lowering = new Lowering(this.#code, temporaries(), this, callees, LOCAL.cpu, -1, LOCAL.tlb);
  }

  /** The template; undefined where the instruction cannot be part of a region. */
  write(flagsBefore: FlagState, widths: RegisterWidths): InstructionTemplate | undefined {
    widths.watch();
    const saved = widths.save();
    try {
      return this.#write(flagsBefore, widths);
    } catch (error) {
      if (!(error instanceof NotCompilable)) throw error;
      return undefined;
    } finally {
      widths.restore(saved);
    }
  }

  #write(flagsBefore: FlagState, widths: RegisterWidths): InstructionTemplate {
    this.#flags.state = flagsBefore;
    const { decoded, traits } = this.#instruction;
    const { constants, helperNumber } = this.#tools;
    const emitter = new RegionEmitter(this.#flags, this, this.#instruction, widths, constants, helperNumber);
    decoded.row.insn.body(emitter, new RegionOperands(emitter, decoded, traits.access));
    const l = this.#lowering;
    l.block(emitter.root);
    const condition = emitter.branchTaken?.condition ? l.local(emitter.branchTaken.condition) : -1;
    const jumpTarget = emitter.jumpTarget ? l.local(emitter.jumpTarget) : -1;
    const { locals, offsets, executed, routines, stackPlaces, pointers, groupOffsets, reloads, hints } = this.#code;
    const names = [...new Set(locals.filter((_, index) => index % 2 === 1))];
    return {
      bytes: this.#code.buffer.toBytes(), hints, locals, offsets, executed, routines, stackPlaces, pointers, groupOffsets, reloads, names, needs: emitter.needs,
      written: emitter.written, stackMove: emitter.stackMove,
      flagsAfter: this.#flags.state, widthsRead: widths.read, widthsWritten: widths.written, condition, jumpTarget,
    };
  }

  /** Memory that is not ordinary, and every exception, is the interpreter's. */
  fault(): void {
    this.interpret();
  }
  interpret(): void {
    const code = this.#code;
    code.localGet(LOCAL.cpu).offset('i64', 0).executedHere(0).localGet(LOCAL.budget).i32(REGION_END.Interpret);
    this.#flags.pushAll(code, this.flagsHere);
    code.call(this.#tools.callees.leaveRegion).op('return');
  }
  leave(l: Lowering, target: number): void {
    const code = this.#code;
    this.#flags.spill(l, this.flagsHere);
    code.localGet(LOCAL.cpu).localGet(target).localGet(LOCAL.budget).executedHere(1).op('i32.sub').returnCall(this.#tools.callees.jumpRegions);
  }

  callHelper(l: Lowering, number: number, argumentCount: number): void {
    const code = this.#code;
    const { decoded, traits } = this.#instruction;
    const status = l.temporary('i32');
    const last = traits.endsRegion ? LAST_OF_REGION : 0;
    code.i32(number).offset('i32', 0).i32(decoded.lengthBytes | (decoded.segment << 4) | last).i32(argumentCount);
    code.call(this.#tools.callees.regionHelper).localTee(status).if();
    code.localGet(LOCAL.cpu);
    code.i32(0).localGet(LOCAL.budget).executedHere(1).op('i32.sub').localGet(status).i32(HELPER_END.LeaveSoon).op('i32.eq').op('select');
    code.memory('i32.store', CPU.budget);
    code.localGet(status).i32(HELPER_END.Stop).op('i32.eq').i32(1).op('i32.shl').op('return');
    code.op('end').reload();
  }

  jump(_code: Code): void {
    throw new Error('regions leave through RegionExits');
  }
  branch(): void {
    throw new Error('regions leave through RegionExits');
  }
  leaveOnStatus(): void {
    throw new Error('regions leave through RegionExits');
  }
  interruptWindow(): void {
    throw new Error('regions leave through RegionExits');
  }
}

/** Names for temporaries, counted from zero in each template. */
function temporaries(): (type: ValueType) => number {
  const counts = new Map<ValueType, number>();
  return (type) => {
    const count = counts.get(type) ?? 0;
    const name = temporaryName(type, count);
    if (name === undefined) throw new NotCompilable();
    counts.set(type, count + 1);
    return name;
  };
}
