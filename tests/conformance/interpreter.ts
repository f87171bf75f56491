import type { GuestMemory, Vcpu, VcpuState } from '@hanok/machine';
import type { ConformanceDriver, TestCase, TestException, TestResult } from './driver.ts';
import type { CaseMode } from './forms.ts';
import { FX, GS_BASE, LAYOUT, TESTED_FLAGS } from './layout.ts';
import { USER_CODE, USER_CODE_32, USER_DATA } from './native-stub.ts';

/** Guest-physical addresses of what the case needs; the page tables make the virtual ones those of LAYOUT. */
const GPA = { pml4: 0x1000, pdpt: 0x2000, directory: 0x3000, table: 0x4000, code: 0x1_0000, window: 0x2_0000, tss: 0x3_0000 } as const;

/** RAM the driver needs. */
export const INTERPRETER_RAM_BYTES = 0x20_0000;

const PAGE = 0x1000;
const PRESENT_WRITABLE_USER = 7;
const PRESENT_WRITABLE = 3;
const TSS_LINEAR = LAYOUT.regionBase + 0x8_0000;
const TSS_LIMIT = 0x67;

/** A repeated string instruction may come back to itself this many times. */
const RESUMPTIONS = 4096;
/** Enough for the instruction and an exit in compiled code, which is not entered near the end of a budget. */
const INSTRUCTIONS_COMPILED = 10_000;

/** UD2 stands at every exit, so that an engine that runs on stops there. */
const UD2 = Uint8Array.of(0x0f, 0x0b);
const INVALID_OPCODE = 6;
const PAGE_FAULT = 14;

/** Where the page at an offset of the window is. */
const windowPage = (offset: number, isScattered: boolean) => GPA.window + (isScattered ? LAYOUT.windowBytes - PAGE - offset : offset);

function mapPages(memory: GuestMemory, isScattered: boolean): void {
  const entry = (table: number, index: number, value: number) => memory.writeU64(table + 8 * index, BigInt(value));
  const base = LAYOUT.regionBase;
  entry(GPA.pml4, 0, GPA.pdpt | PRESENT_WRITABLE_USER);
  entry(GPA.pdpt, Math.floor(base / 2 ** 30), GPA.directory | PRESENT_WRITABLE_USER);
  entry(GPA.directory, Math.floor(base / 2 ** 21) % 512, GPA.table | PRESENT_WRITABLE_USER);
  const map = (linear: number, gpa: number, bytes: number, rights: number) => {
    for (let offset = 0; offset < bytes; offset += PAGE) entry(GPA.table, Math.floor((linear + offset) / PAGE) % 512, (gpa + offset) | rights);
  };
  map(LAYOUT.codeBase, GPA.code, LAYOUT.codeBytes, PRESENT_WRITABLE_USER);
  for (let offset = 0; offset < LAYOUT.windowBytes; offset += PAGE) map(LAYOUT.windowBase + offset, windowPage(offset, isScattered), PAGE, PRESENT_WRITABLE_USER);
  map(TSS_LINEAR, GPA.tss, PAGE, PRESENT_WRITABLE);
  // An I/O map that starts beyond the limit permits no port (SDM vol. 1 §19.5.2).
  memory.writeU16(GPA.tss + 0x66, TSS_LIMIT + 1);
}

/** Long mode at privilege level 3, in code of 64 or 32 bits, with the selectors Linux gives programs. */
function programState(mode: CaseMode): Partial<VcpuState> {
  const none = { selector: 0, base: 0n, limit: 0, access: 0 };
  const flat = (selector: number, access: number) => ({ selector, base: 0n, limit: 0xffff_ffff, access });
  const code = mode === 64 ? flat(USER_CODE, 0xa0fb) : flat(USER_CODE_32, 0xc0fb);
  const data = flat(USER_DATA, 0xc0f3);
  return {
    segments: [data, code, data, data, none, { ...none, base: GS_BASE }],
    ldtr: none,
    tr: { selector: 0x40, base: BigInt(TSS_LINEAR), limit: TSS_LIMIT, access: 0x8b },
    gdtr: { base: 0n, limit: 0 },
    idtr: { base: 0n, limit: 0 },
    cr0: 0x8005_0033n,
    cr2: 0n,
    cr3: BigInt(GPA.pml4),
    // PAE, OSFXSR, OSXMMEXCPT.
    cr4: 0x620n,
    cr8: 0n,
    // SCE, LME, LMA, NXE.
    efer: 0xd01n,
  };
}

/** The full tag word (SDM vol. 1 §8.1.7) of an FXSAVE image, which keeps only whether a register is empty. */
function fullTag(view: DataView): number {
  const top = (view.getUint16(FX.status, true) >> 11) & 7;
  const abridged = view.getUint8(FX.tag);
  let tag = 0;
  for (let physical = 0; physical < 8; physical++) {
    if (((abridged >> physical) & 1) === 0) {
      tag |= 3 << (2 * physical);
      continue;
    }
    const at = FX.registers + 16 * ((physical - top) & 7);
    const significand = view.getBigUint64(at, true);
    const exponent = view.getUint16(at + 8, true) & 0x7fff;
    const zero = exponent === 0 && significand === 0n;
    const special = exponent === 0x7fff || exponent === 0 || significand >> 63n === 0n;
    tag |= (zero ? 1 : special ? 2 : 0) << (2 * physical);
  }
  return tag;
}

function abridgedTag(tag: number): number {
  let abridged = 0;
  for (let physical = 0; physical < 8; physical++) if (((tag >> (2 * physical)) & 3) !== 3) abridged |= 1 << physical;
  return abridged;
}

function floatState(fx: Uint8Array): Pick<VcpuState, 'x87' | 'xmm' | 'mxcsr'> {
  const view = new DataView(fx.buffer, fx.byteOffset);
  const registers = new Uint8Array(80);
  for (let index = 0; index < 8; index++) registers.set(fx.subarray(FX.registers + 16 * index, FX.registers + 16 * index + 10), 10 * index);
  const control = view.getUint16(FX.control, true);
  const status = view.getUint16(FX.status, true);
  return { x87: { registers, control, status, tag: fullTag(view) }, xmm: fx.slice(FX.xmm, FX.end), mxcsr: view.getUint32(FX.mxcsr, true) };
}

function floatImage(state: VcpuState): Uint8Array {
  const fx = new Uint8Array(FX.sizeBytes);
  const view = new DataView(fx.buffer);
  view.setUint16(FX.control, state.x87.control, true);
  view.setUint16(FX.status, state.x87.status, true);
  view.setUint8(FX.tag, abridgedTag(state.x87.tag));
  view.setUint32(FX.mxcsr, state.mxcsr, true);
  for (let index = 0; index < 8; index++) fx.set(state.x87.registers.subarray(10 * index, 10 * index + 10), FX.registers + 16 * index);
  fx.set(state.xmm, FX.xmm);
  return fx;
}

const SOFTWARE_EXCEPTIONS = [0xcc, 0xf1];
const INT = 0xcd;
const GENERAL_PROTECTION = 13;

/** There is no IDT: where INT3 and INT1 look for their gates, #GP names it (SDM vol. 3A §6.13). */
function gateOf(test: TestCase, exception: TestException): number | undefined {
  const opcode = test.code.at(-2) !== INT && SOFTWARE_EXCEPTIONS.includes(test.code.at(-1)!);
  const software = opcode && exception.vector === GENERAL_PROTECTION && (exception.errorCode & 6) === 2;
  return software ? exception.errorCode >> 3 : undefined;
}

/** Any `Vcpu` of this project that reports exceptions instead of delivering them (`interceptExceptions`). */
export class InterpreterDriver implements ConformanceDriver {
  readonly name: string;
  readonly #warmUps: number;
  readonly #vcpu: Vcpu;
  readonly memory: GuestMemory;
  readonly #fixed = { 32: programState(32), 64: programState(64) };

  readonly #isScattered: boolean;

  /** Each case runs so many times before, so that it runs in the regions they led to. Pages of the window follow each other in RAM unless they are scattered. */
  constructor(vcpu: Vcpu, memory: GuestMemory, warmUps = 0, isScattered = false) {
    this.#isScattered = isScattered;
    this.name = warmUps > 0 ? 'regions' : 'interpreter';
    this.#warmUps = warmUps;
    this.#vcpu = vcpu;
    this.memory = memory;
    mapPages(memory, isScattered);
  }

  run(test: TestCase): TestResult {
    this.#loadCode(test);
    this.#loadData(test);
    for (let run = 0; run < this.#warmUps; run++) {
      this.#vcpu.run(INSTRUCTIONS_COMPILED);
      this.#loadData(test);
    }
    const { state, exception } = this.#execute(test, this.#warmUps > 0 ? INSTRUCTIONS_COMPILED : 1);
    const gate = exception && gateOf(test, exception);
    return {
      rip: gate === undefined ? Number(state.rip) : test.codeAddress + test.code.length,
      exception: gate === undefined ? exception : { vector: gate, errorCode: 0, cr2: 0n },
      gpr: BigUint64Array.from(state.gpr),
      rflags: Number(state.rflags) & TESTED_FLAGS,
      fx: floatImage(state),
      memory: this.#window(),
    };
  }

  #window(): Uint8Array {
    const window = new Uint8Array(LAYOUT.windowBytes);
    for (let offset = 0; offset < LAYOUT.windowBytes; offset += PAGE) window.set(this.memory.slice(windowPage(offset, this.#isScattered), PAGE)!, offset);
    return window;
  }

  #loadCode(test: TestCase): void {
    const codeAt = (address: number) => GPA.code + address - LAYOUT.codeBase;
    this.memory.write(codeAt(test.codeAddress), test.code);
    for (const exit of test.exits) this.memory.write(codeAt(exit), UD2);
  }

  #loadData(test: TestCase): void {
    for (let offset = 0; offset < LAYOUT.windowBytes; offset += PAGE) this.memory.write(windowPage(offset, this.#isScattered), test.memory.subarray(offset, offset + PAGE));
    this.#vcpu.setState({
      ...this.#fixed[test.mode],
      ...floatState(test.fx),
      gpr: Array.from(test.gpr),
      rip: BigInt(test.codeAddress),
      rflags: BigInt(test.rflags | 0x202),
    });
  }

  /** Runs to an exit or to the exception that prevented it. */
  #execute(test: TestCase, limit: number): { state: VcpuState; exception: TestException | undefined } {
    for (let count = 0; count < RESUMPTIONS; count++) {
      const stop = this.#vcpu.run(limit);
      const state = this.#vcpu.getState();
      const moved = Number(state.rip) !== test.codeAddress;
      if (stop.reason === 'exception') {
        const atExit = moved && stop.vector === INVALID_OPCODE && test.exits.includes(Number(state.rip));
        const { vector, errorCode, cr2 } = stop;
        return { state, exception: atExit ? undefined : { vector, errorCode, cr2: vector === PAGE_FAULT ? cr2 : 0n } };
      }
      if (stop.reason === 'limit' && limit > 1) throw new Error(`the vCPU did not leave the instruction in ${limit} instructions`);
      if (stop.reason !== 'limit') throw new Error(`the vCPU stopped with ${stop.reason} instead of running one instruction`);
      if (moved) return { state, exception: undefined };
    }
    throw new Error(`the vCPU did not leave the instruction in ${RESUMPTIONS} runs`);
  }
}
