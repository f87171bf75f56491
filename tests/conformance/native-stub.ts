import { LAYOUT } from './layout.ts';

/** Offsets in the host-only state block. */
export const STATE = {
  fxIn: 0x000,
  gprIn: 0x200,
  /** Number of the exit reached, from 1; 0 after an exception. */
  exit: 0x288,
  trapNumber: 0x290,
  trapErrorCode: 0x298,
  trapAddress: 0x2a0,
  trapRip: 0x2a8,
  hostStack: 0x2b8,
  /** What IRET takes: RIP, CS, RFLAGS, RSP, SS. */
  frame: 0x2c0,
  /** Handlers installed before ours, by signal number. */
  chained: 0x300,
  fxOut: 0x400,
  gprOut: 0x600,
  flagsOut: 0x680,
  fxHost: 0x800,
} as const;

/** Linux `ucontext_t` on x86-64: offsets of the saved registers a handler needs (asm/sigcontext.h). */
const UCONTEXT = { rip: 0xa8, flags: 0xb0, codeSegment: 0xb8, errorCode: 0xc0, trapNumber: 0xc8, cr2: 0xd8 } as const;

const STACK_POINTER = 4;
/** Selectors of programs under Linux (asm/segment.h): code of 64 and 32 bits, data. */
export const USER_CODE = 0x33;
export const USER_CODE_32 = 0x23;
export const USER_DATA = 0x2b;
/** TF and AC would raise exceptions in the stub itself. */
const TRAP_AND_ALIGNMENT_FLAGS = 0x4_0100;

class Code {
  readonly bytes: number[] = [];
  raw(...bytes: number[]): this {
    this.bytes.push(...bytes);
    return this;
  }
  dword(value: number): this {
    return this.raw(value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >>> 24) & 255);
  }
  /** ModRM and SIB for [disp32], `reg` as given, address in the state block. */
  state(reg: number, offset: number): this {
    return this.raw(0x04 | ((reg & 7) << 3), 0x25).dword(LAYOUT.stateBase + offset);
  }
  loadRegister(register: number, offset: number): this {
    return this.raw(0x48 | (register > 7 ? 4 : 0), 0x8b).state(register, offset);
  }
  storeRegister(register: number, offset: number): this {
    return this.raw(0x48 | (register > 7 ? 4 : 0), 0x89).state(register, offset);
  }
  jump(from: number, target: number): this {
    const next = from + this.bytes.length + 5;
    return this.raw(0xe9).dword(target - next);
  }
}

export interface Stub {
  readonly bytes: Uint8Array;
  readonly captureAddress: number;
  /** Where 32-bit code goes to be captured. */
  readonly farCaptureAddress: number;
  readonly handlerAddress: number;
}

/**
 * Loads the case's state and goes to its instruction; all registers are the case's from then on. IRET loads the flags
 * last, so that TF traps after the instruction and not before it.
 */
function entry(code: Code): void {
  code.raw(0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57); // push rbx, rbp, r12-r15
  code.storeRegister(STACK_POINTER, STATE.hostStack);
  code.raw(0x48, 0x0f, 0xae).state(0, STATE.fxHost); // fxsave64
  code.raw(0x48, 0x0f, 0xae).state(1, STATE.fxIn); // fxrstor64
  code.raw(0xb8).dword(USER_DATA).raw(0x8e, 0xd8, 0x8e, 0xc0); // mov eax, USER_DATA; mov ds, eax; mov es, eax
  for (let register = 0; register < 16; register++) if (register !== STACK_POINTER) code.loadRegister(register, STATE.gprIn + 8 * register);
  code.raw(0x48, 0xc7, 0xc4).dword(LAYOUT.stateBase + STATE.frame); // mov rsp, frame
  code.raw(0x48, 0xcf); // iretq
}

/** Stores every register, then returns to the caller of the stub as if nothing had happened. */
function capture(code: Code): void {
  for (let register = 0; register < 16; register++) code.storeRegister(register, STATE.gprOut + 8 * register);
  code.loadRegister(STACK_POINTER, STATE.hostStack);
  code.raw(0x9c, 0x8f).state(0, STATE.flagsOut); // pushfq; pop [flagsOut]
  code.raw(0x6a, 0x02, 0x9d); // push 2; popfq
  code.raw(0x48, 0x0f, 0xae).state(0, STATE.fxOut);
  code.raw(0x48, 0x0f, 0xae).state(1, STATE.fxHost);
  code.raw(0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3);
}

/**
 * Signal handler: an exception in the case's code is noted and execution resumes at `captureAddress` with the registers
 * it had; any other goes to the handler installed before (V8 has one for WebAssembly's own faults).
 */
function handler(code: Code, captureAddress: number): void {
  code.raw(0x48, 0x8b, 0x82).dword(UCONTEXT.rip); // mov rax, [rdx + rip]
  code.raw(0x48, 0x89, 0xc1); // mov rcx, rax
  code.raw(0x48, 0x2d).dword(LAYOUT.codeBase); // sub rax, codeBase
  code.raw(0x48, 0x3d).dword(LAYOUT.codeBytes); // cmp rax, codeBytes
  const branchAt = code.bytes.length;
  code.raw(0x73, 0); // jae chain
  code.storeRegister(1, STATE.trapRip);
  for (const [field, target] of [
    [UCONTEXT.trapNumber, STATE.trapNumber],
    [UCONTEXT.errorCode, STATE.trapErrorCode],
    [UCONTEXT.cr2, STATE.trapAddress],
  ] as const) {
    code.raw(0x48, 0x8b, 0x82).dword(field).storeRegister(0, target);
  }
  code.raw(0x48, 0xc7, 0x82).dword(UCONTEXT.rip).dword(captureAddress); // mov qword [rdx + rip], capture
  code.raw(0x66, 0xc7, 0x82).dword(UCONTEXT.codeSegment).raw(USER_CODE, 0); // mov word [rdx + codeSegment], USER_CODE
  code.raw(0x81, 0xa2).dword(UCONTEXT.flags).dword(~TRAP_AND_ALIGNMENT_FLAGS); // and dword [rdx + flags], …
  code.raw(0xc3);
  code.bytes[branchAt + 1] = code.bytes.length - (branchAt + 2);
  code.raw(0x48, 0x8b, 0x04, 0xfd).dword(LAYOUT.stateBase + STATE.chained); // mov rax, [chained + rdi*8]
  code.raw(0x48, 0x83, 0xf8, 0x01, 0x76, 0x02, 0xff, 0xe0); // cmp rax, 1; jbe +2; jmp rax
  code.raw(0x0f, 0x0b); // SIG_DFL: an exception inside a handler ends the process, as the default would
}

/** The machine code of the stub page. */
export function buildStub(): Stub {
  const code = new Code();
  entry(code);
  const captureAddress = LAYOUT.stubBase + code.bytes.length;
  capture(code);
  const handlerAddress = LAYOUT.stubBase + code.bytes.length;
  handler(code, captureAddress);
  const farCaptureAddress = LAYOUT.stubBase + code.bytes.length;
  code.raw(0xea).dword(captureAddress).raw(USER_CODE, 0); // jmp USER_CODE:capture, of 32-bit code
  return { bytes: Uint8Array.from(code.bytes), captureAddress, farCaptureAddress, handlerAddress };
}

/** What stands at exit `index` (from 1) of a case, in code of either mode: it notes which exit this is and goes to store the state. */
export function buildExit(index: number, address: number, captureAddress: number): Uint8Array {
  const code = new Code();
  code.raw(0xc7).state(0, STATE.exit).dword(index); // mov dword [exit], index
  code.jump(address, captureAddress);
  return Uint8Array.from(code.bytes);
}

