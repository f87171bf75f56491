import koffi from 'koffi';
import type { ConformanceDriver, TestCase, TestResult } from './driver.ts';
import { EXIT_BYTES, FX, GS_BASE, LAYOUT, TESTED_FLAGS } from './layout.ts';
import { buildExit, buildStub, STATE, type Stub, USER_CODE, USER_CODE_32, USER_DATA } from './native-stub.ts';

/** Linux constants (asm-generic/mman.h, asm/signal.h, asm/prctl.h, asm/unistd_64.h). */
const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const PROT_ALL = 7;
const MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE = 0x10_0022;
const SA_SIGINFO_ONSTACK = 0x0800_0004;
const ARCH_SET_GS = 0x1001;
const SYS_ARCH_PRCTL = 158;
const EXCEPTION_SIGNALS = { SIGILL: 4, SIGTRAP: 5, SIGBUS: 7, SIGFPE: 8, SIGSEGV: 11 };

/** glibc's `struct sigaction`: handler, mask, flags, restorer. */
const SIGACTION = { sizeBytes: 152, handler: 0, flags: 136 } as const;

const INT3 = 0xcc;
const STACK_POINTER = 4;
const PAGE_FAULT = 14;

/** Why this host cannot be the oracle, or undefined when it can. */
export function nativeOracleUnavailable(): string | undefined {
  if (process.platform === 'linux' && process.arch === 'x64') return undefined;
  return `the oracle is the host's own processor and needs Linux on x86-64; this is ${process.platform} on ${process.arch}`;
}

interface Libc {
  mmap(address: number, length: number, protection: number, flags: number, fd: number, offset: number): number | bigint;
  mprotect(address: number, length: number, protection: number): number;
  sigaction(signal: number, action: Uint8Array | null, old: Uint8Array | null): number;
  sigaltstack(stack: Uint8Array, old: null): number;
  syscall(number: number, a: number, b: number): number;
}

function loadLibc(): Libc {
  const library = koffi.load('libc.so.6');
  return {
    mmap: library.func('uint64_t mmap(uint64_t address, size_t length, int protection, int flags, int fd, int64_t offset)'),
    mprotect: library.func('int mprotect(uint64_t address, size_t length, int protection)'),
    sigaction: library.func('int sigaction(int signal, const void *action, _Out_ void *old)'),
    sigaltstack: library.func('int sigaltstack(const void *stack, void *old)'),
    syscall: library.func('int64_t syscall(int64_t number, int64_t a, int64_t b)'),
  };
}

function check(ok: boolean, what: string): void {
  if (!ok) throw new Error(`native oracle: ${what} failed`);
}

function mapRegion(libc: Libc): void {
  const mapped = libc.mmap(LAYOUT.regionBase, LAYOUT.regionBytes, PROT_NONE, MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE, -1, 0);
  check(Number(mapped) === LAYOUT.regionBase, `mapping ${LAYOUT.regionBytes} bytes at 0x${LAYOUT.regionBase.toString(16)} (one driver a process)`);
  const protect = (base: number, bytes: number, protection: number) =>
    check(libc.mprotect(base, bytes, protection) === 0, `mprotect at 0x${base.toString(16)}`);
  protect(LAYOUT.codeBase, LAYOUT.codeBytes, PROT_ALL);
  protect(LAYOUT.windowBase, LAYOUT.windowBytes, PROT_READ_WRITE);
  protect(LAYOUT.stubBase, LAYOUT.stubAndStateBytes, PROT_ALL);
  protect(LAYOUT.signalStackBase, LAYOUT.signalStackBytes, PROT_READ_WRITE);
}

function installHandlers(libc: Libc, stub: Stub, chained: BigUint64Array): void {
  const stack = new Uint8Array(24); // stack_t: pointer, flags, size
  const stackView = new DataView(stack.buffer);
  stackView.setBigUint64(0, BigInt(LAYOUT.signalStackBase), true);
  stackView.setBigUint64(16, BigInt(LAYOUT.signalStackBytes), true);
  check(libc.sigaltstack(stack, null) === 0, 'sigaltstack');
  const action = new Uint8Array(SIGACTION.sizeBytes);
  new DataView(action.buffer).setBigUint64(SIGACTION.handler, BigInt(stub.handlerAddress), true);
  new DataView(action.buffer).setUint32(SIGACTION.flags, SA_SIGINFO_ONSTACK, true);
  for (const [name, signal] of Object.entries(EXCEPTION_SIGNALS)) {
    const old = new Uint8Array(SIGACTION.sizeBytes);
    check(libc.sigaction(signal, null, old) === 0, `sigaction(${name})`);
    chained[signal] = new DataView(old.buffer).getBigUint64(SIGACTION.handler, true);
    check(libc.sigaction(signal, action, null) === 0, `sigaction(${name})`);
  }
}

/** The host's own processor. Exceptions are caught as signals; there can be one driver in a process. */
export class NativeDriver implements ConformanceDriver {
  readonly name = 'native';
  readonly #stub = buildStub();
  readonly #prototype = koffi.proto('void conformanceStub()');
  readonly #code: Uint8Array;
  readonly #window: Uint8Array;
  readonly #state: DataView;
  readonly #fxIn: Uint8Array;
  readonly #fxOut: Uint8Array;
  readonly #gprIn: BigUint64Array;
  readonly #gprOut: BigUint64Array;

  constructor() {
    const unavailable = nativeOracleUnavailable();
    if (unavailable) throw new Error(unavailable);
    const libc = loadLibc();
    mapRegion(libc);
    const view = (base: number, bytes: number) => new Uint8Array(koffi.view(BigInt(base), bytes));
    this.#code = view(LAYOUT.codeBase, LAYOUT.codeBytes).fill(INT3);
    this.#window = view(LAYOUT.windowBase, LAYOUT.windowBytes);
    const stubPage = view(LAYOUT.stubBase, LAYOUT.stubAndStateBytes);
    stubPage.set(this.#stub.bytes);
    const buffer = stubPage.buffer;
    const stateAt = LAYOUT.stateBase - LAYOUT.stubBase;
    this.#state = new DataView(buffer, stateAt);
    this.#fxIn = new Uint8Array(buffer, stateAt + STATE.fxIn, FX.sizeBytes);
    this.#fxOut = new Uint8Array(buffer, stateAt + STATE.fxOut, FX.sizeBytes);
    this.#gprIn = new BigUint64Array(buffer, stateAt + STATE.gprIn, 16);
    this.#gprOut = new BigUint64Array(buffer, stateAt + STATE.gprOut, 16);
    installHandlers(libc, this.#stub, new BigUint64Array(buffer, stateAt + STATE.chained, 32));
    check(libc.syscall(SYS_ARCH_PRCTL, ARCH_SET_GS, Number(GS_BASE)) === 0, 'setting the GS base');
  }

  run(test: TestCase): TestResult {
    this.#load(test);
    koffi.call(BigInt(LAYOUT.stubBase), this.#prototype);
    this.#unload(test);
    const state = this.#state;
    const exit = state.getUint32(STATE.exit, true);
    const vector = Number(state.getBigUint64(STATE.trapNumber, true));
    const exception = exit !== 0 ? undefined : {
      vector,
      errorCode: state.getUint32(STATE.trapErrorCode, true),
      cr2: vector === PAGE_FAULT ? state.getBigUint64(STATE.trapAddress, true) : 0n,
    };
    return {
      rip: exit !== 0 ? test.exits[exit - 1]! : Number(state.getBigUint64(STATE.trapRip, true)),
      exception,
      gpr: this.#gprOut.slice(),
      rflags: state.getUint32(STATE.flagsOut, true) & TESTED_FLAGS,
      fx: this.#fxOut.slice(),
      memory: this.#window.slice(),
    };
  }

  #load(test: TestCase): void {
    this.#code.set(test.code, test.codeAddress - LAYOUT.codeBase);
    const capture = test.mode === 32 ? this.#stub.farCaptureAddress : this.#stub.captureAddress;
    test.exits.forEach((address, index) => {
      this.#code.set(buildExit(index + 1, address, capture), address - LAYOUT.codeBase);
    });
    this.#fxIn.set(test.fx);
    this.#gprIn.set(test.gpr);
    this.#window.set(test.memory);
    const codeSegment = BigInt(test.mode === 32 ? USER_CODE_32 : USER_CODE);
    const frame = [BigInt(test.codeAddress), codeSegment, BigInt(test.rflags | 0x202), test.gpr[STACK_POINTER]!, BigInt(USER_DATA)];
    frame.forEach((value, index) => this.#state.setBigUint64(STATE.frame + 8 * index, value, true));
    this.#state.setUint32(STATE.exit, 0, true);
  }

  #unload(test: TestCase): void {
    const start = test.codeAddress - LAYOUT.codeBase;
    this.#code.fill(INT3, start, start + test.code.length);
    for (const address of test.exits) this.#code.fill(INT3, address - LAYOUT.codeBase, address - LAYOUT.codeBase + EXIT_BYTES);
  }
}
