import { EXIT_KINDS, type Vcpu, type VcpuGate, type VcpuState, type VcpuStop } from '@hanok/machine';
import { Vector } from '@hanok/x86';
import { type ActivityRecorder, deliveryActivity, NO_RECORDER } from './activity.ts';
import { BlockCache } from './block-cache.ts';
import { CpuState, RFLAGS } from './cpu-state.ts';
import { DebugUnit } from './debug-unit.ts';
import type { EmulatedVcpuOptions } from './emulated-vcpu-options.ts';
import { ExecutionContext } from './execution-context.ts';
import { BREAK_FAULT, GuestFault, type Helper, RESTART_FAULT, type SystemHelper } from './helper.ts';
import { deliverOrDouble } from './helpers/double-fault.ts';
import { numberedHelpers } from './helpers/index.ts';
import type { Event } from './helpers/interrupts.ts';
import { MsrFile } from './helpers/msr.ts';
import type { EngineImports, InterpreterExports } from './interpreter.ts';
import { HotCode } from './jit/hot-code.ts';
import { type CompiledCode, RegionCache } from './jit/region-cache.ts';
import { HELPER_END, LAST_OF_REGION } from './jit/template-writer.ts';
import { BLOCK_TAG, CPU, RUN_END, STATUS, VCPU_BLOCK_BYTES, vcpuBlockAddress } from './layout.ts';
import { Mmu } from './mmu.ts';
import { KvmParavirt } from './paravirt/kvm-paravirt.ts';
import { segmentLinear } from './segment-check.ts';
import { SliceLength } from './slice-length.ts';
import { SingleStep, type Step } from './single-step.ts';
import { ProcessorActivity } from './processor-activity.ts';
import { NO_SHADOW, exportState, importState, initState, resetState } from './state-exchange.ts';
import { noticingBus } from './noticing-bus.ts';
import { ExitTally, type VcpuServices } from './system-services.ts';
import { unknownReporter } from './unknown-encoding.ts';
import { soloGate } from './vcpu-sharing.ts';
import { gatherCondition1, spreadCondition1 } from './x87/registers.ts';

/** A slice with a PAUSE for so many instructions did nothing but wait for another vCPU. */
const SPIN_INSTRUCTIONS = 16;

const INTERRUPTS_ENABLED = Number(RFLAGS.IF);
const STEPPING_FLAGS = Number(RFLAGS.TF | RFLAGS.RF);

/** A vCPU in software: the interpreter with its memory management, exceptions and interrupts. */
export class EmulatedVcpu implements Vcpu {
  readonly state: CpuState;
  readonly #options: EmulatedVcpuOptions;
  readonly #services: VcpuServices;
  readonly #gate: VcpuGate;
  readonly #blocks: BlockCache;
  readonly #regions: RegionCache;
  readonly #hotCode: HotCode;
  readonly #mmu: Mmu;
  readonly #context: ExecutionContext;
  readonly #msrs: MsrFile;
  readonly #paravirt: KvmParavirt | undefined;
  readonly #tally: ExitTally;
  readonly #debug: DebugUnit;
  readonly #single: SingleStep;
  readonly #activity: ProcessorActivity;
  readonly #sliceLength = new SliceLength();
  readonly #helpers: readonly (Helper | SystemHelper)[];
  readonly #run: (cpu: number, budget: number) => number;
  readonly #takeCompiled: () => void;
  readonly #recorder: ActivityRecorder;
  #intercepted: (VcpuStop & { reason: 'exception' }) | undefined;
  #kicked = false;
  /** An exception between instructions ended in a triple fault. */
  #shutDown = false;
  /** When `#takeAttention` looked last. */
  #lookedNs = 0;

  constructor(options: EmulatedVcpuOptions) {
    const { memory, codePages, services } = (this.#options = options);
    this.#services = services;
    const recorder = (this.#recorder = options.activity ?? NO_RECORDER);
    const gate = (this.#gate = options.gate ?? soloGate());
    const index = options.index ?? 0;
    const buffer = memory.memory.buffer as ArrayBufferLike;
    this.state = new CpuState(buffer, vcpuBlockAddress(index), VCPU_BLOCK_BYTES);
    this.#msrs = new MsrFile(this.state);
    const ram = new Uint8Array(buffer, memory.baseBytes, memory.sizeBytes);
    this.#regions = new RegionCache(memory.memory);
    this.#debug = new DebugUnit(this.state);
    this.#hotCode = new HotCode(this.state, ram, this.#regions, options);
    const [onUnknown, breaksAt] = [unknownReporter((line) => this.#services.log(line)), (linear: bigint) => this.#debug.executeHits(linear) !== 0n];
    this.#blocks = new BlockCache(this.state, { ...options, vcpu: index, hotCode: this.#hotCode, onUnknown, breaksAt });
    this.#tally = new ExitTally(this.#services.exits, EXIT_KINDS);
    this.#mmu = new Mmu(this.state, memory, noticingBus(this.#tally.counting(this.#services.bus), this.#services, this.state), { codePages, gate, vcpu: index }, (page) => this.#blocks.dropPage(page));
    this.#hotCode.connect(this.#mmu, this.#blocks);
    const { paravirt, timeStamp, model, interrupts } = this.#services;
    timeStamp.connect(this.state);
    this.#paravirt = paravirt && new KvmParavirt(memory, timeStamp, model.tscHz, interrupts, paravirt);
    this.#context = new ExecutionContext(this.state, this.#mmu, this.#services, this.#paravirt, this.#tally, new DataView(buffer), this.#debug, () => this.#debugChanged());
    this.#single = new SingleStep(this.state, this.#context, this.#debug, this.#mmu, ram, {
      debug: (bits) => this.#debugException(bits),
      generalProtection: () => {
        this.#context.recordFault(new GuestFault(Vector.GP, 0));
        if (this.#raiseAtRip() === 2) this.#shutDown = !this.#intercepted;
      },
    });
    this.#activity = new ProcessorActivity(this.state, interrupts, options.waitsForStartup ?? false);
    this.#helpers = numberedHelpers(options.image.helperNames, this.#msrs);
    const instance = new WebAssembly.Instance(options.module, { env: { memory: memory.memory }, engine: { ...recorder.recordingImports(this.#imports()), regions: this.#regions.table } });
    const exports = instance.exports as unknown as InterpreterExports;
    this.#mmu.tlb.connect(exports);
    this.#blocks.connect(this.#mmu, exports);
    this.#regions.connect(exports, recorder.recordingHelper(this.#regionHelper.bind(this)));
    this.#run = recorder.recording('interpreter', exports.run);
    this.#takeCompiled = recorder.recording('compiling regions', () => this.#hotCode.takeCompiled());
    this.reset();
  }

  #imports(): EngineImports {
    return {
      fetchMiss: (low, high) => (this.#mmu.fetch(low, high) === 0 ? 0 : this.#raiseAtRip()),
      decode: (address, low, high) => {
        const slot = this.#blocks.decode(address, low, high);
        return slot === 0 && this.#raiseAtRip() === 2 ? -1 : slot;
      },
      cross: (slot) => this.#blocks.cross(slot),
      raise: (slot) => {
        this.#context.begin(slot);
        this.#context.chooseStackFault();
        return this.#raiseAtRip();
      },
      helper: (number, slot, count) => this.#helper(number, slot, count),
      read: (low, high, sizeBytes) => this.#mmu.read(low, high, sizeBytes),
      write: (low, high, sizeBytes) => this.#mmu.write(low, high, sizeBytes),
      modify: (low, high, sizeBytes) => this.#mmu.modify(low, high, sizeBytes),
      lock: (low, high, sizeBytes) => this.#mmu.lock(low, high, sizeBytes),
      unlock: (low, high, sizeBytes) => this.#mmu.unlock(low, high, sizeBytes),
      nowNs: this.#services.timeStamp.nowNs,
      hot: (slot) => this.#hotCode.note(slot),
      ungroup: (slot) => this.#hotCode.ungroup(slot),
      grow: (slot) => this.#hotCode.grow(slot),
      entered: (slot) => this.#hotCode.entered(slot),
      regionFetch: (low, high) => this.#mmu.regionFetch(low, high),
      regionRead: (low, high, sizeBytes) => this.#mmu.regionRead(low, high, sizeBytes),
      regionWrite: (low, high, sizeBytes) => this.#mmu.regionWrite(low, high, sizeBytes),
      regionModify: (low, high, sizeBytes) => this.#mmu.regionModify(low, high, sizeBytes),
      regionLock: (low, high, sizeBytes) => this.#mmu.regionLock(low, high, sizeBytes),
      segmentLinear: (segment, offset, sizeAndWrite) => segmentLinear(this.state, segment, offset, sizeAndWrite),
    };
  }

  #helper(number: number, slot: number, count: number): number {
    this.#context.begin(slot);
    return this.#callHelper(number, count);
  }

  /** A helper called by compiled code for the instruction at an offset from the region's page: a HELPER_END. */
  #regionHelper(number: number, pageOffset: number, lengthAndSegment: number, count: number): number {
    const context = this.#context;
    const { dropCount } = this.#blocks;
    context.beginAt(pageOffset, lengthAndSegment & 15, (lengthAndSegment >> 4) & 7);
    const status = this.#callHelper(number, count);
    const isLast = (lengthAndSegment & LAST_OF_REGION) !== 0;
    if (status === STATUS.Next && (isLast || dropCount === this.#blocks.dropCount)) return HELPER_END.Next;
    if (status === STATUS.Next || status === STATUS.NextSoon) {
      // The region itself may be what was dropped.
      this.state.set(CPU.rip, context.nextRip);
      return status === STATUS.Next ? HELPER_END.Leave : HELPER_END.LeaveSoon;
    }
    if (status !== STATUS.Fault) return status === STATUS.Stop ? HELPER_END.Stop : HELPER_END.Leave;
    context.chooseStackFault();
    return this.#raiseAtRip() === 2 ? HELPER_END.Stop : HELPER_END.Leave;
  }

  #callHelper(number: number, count: number): number {
    const context = this.#context;
    const { view } = context;
    const args: bigint[] = [];
    for (let index = 0; index < count; index++) args.push(view.getBigUint64(CPU.arguments + index * 8, true));
    gatherCondition1(view);
    try {
      const result = (this.#helpers[number] as SystemHelper)(context, ...args);
      if (result !== undefined) view.setBigUint64(CPU.result, BigInt.asUintN(64, result), true);
      // From here on instructions run one by one. Only what jumps has set these flags; the bodies of others go on.
      if (context.status === STATUS.Jump && this.state.word(CPU.systemFlags) & STEPPING_FLAGS) context.stop('resume');
      return context.status;
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      this.#context.recordFault(error);
      return STATUS.Fault;
    } finally {
      spreadCondition1(view);
    }
  }

  /** Delivers the recorded exception of the instruction at the state block's RIP: 1 goes on, 2 stops. */
  #raiseAtRip(): number {
    const word = this.state.word(CPU.faultVector);
    const vector = word & 0x1ff;
    if (vector === RESTART_FAULT || (vector === BREAK_FAULT && !this.#single.breakHere())) {
      this.#single.next = true;
      this.#context.stopReason = 'resume';
      return 2;
    }
    if (vector === BREAK_FAULT) return this.#shutDown ? 2 : 1;
    this.#context.moveToFault();
    const errorCode = word & 0x80000000 ? this.state.word(CPU.faultErrorCode) : undefined;
    this.#tally.count(vector === Vector.PF ? 'page fault' : 'exception');
    if (this.#intercept(vector, errorCode)) return 2;
    return this.#deliver({ vector, errorCode, software: false, fault: vector !== Vector.DB, rip: this.state.get(CPU.rip) });
  }

  #intercept(vector: number, errorCode = 0): boolean {
    if (!this.#options.interceptExceptions) return false;
    this.#intercepted = { reason: 'exception', vector, errorCode, cr2: this.state.get(CPU.cr2) };
    return true;
  }

  /** Delivers an event: 1 goes on, 2 stops. Data breakpoints watch instructions only. */
  #deliver(event: Event): number {
    const { watch } = this.#mmu;
    this.#mmu.watch = undefined;
    const delivered = this.#recorder.during(deliveryActivity(event), () => deliverOrDouble(this.#context, event));
    this.#mmu.watch = watch;
    return delivered ? 1 : this.#tripleFault();
  }

  #debugException(bits: bigint): void {
    const rip = (this.#context.rip = this.state.get(CPU.rip));
    this.#debug.record(bits);
    if (this.#intercept(Vector.DB)) return;
    if (this.#deliver({ vector: Vector.DB, software: false, rip }) === 2) this.#shutDown = true;
  }

  #debugChanged(): void {
    const broke = this.#debug.breaksOnExecution;
    this.#debug.update();
    this.#mmu.watch = this.#debug.breaksOnData ? this.#debug : undefined;
    this.#mmu.tlb.flush(false);
    // Marks stand in the code that was cached for the old breakpoints.
    if (broke || this.#debug.breaksOnExecution) this.#blocks.clear();
  }

  #tripleFault(): number {
    this.#services.log(`triple fault at RIP 0x${this.state.get(CPU.rip).toString(16)}`);
    this.#context.stopReason = 'shutdown';
    return 2;
  }

  run(limit = Number.POSITIVE_INFINITY): VcpuStop {
    const gate = this.#gate;
    let left = limit;
    this.#intercepted = undefined;
    for (;;) {
      this.#takeCompiled();
      if (this.#takeAttention()) return { reason: 'kick' };
      if (!this.#isAwake()) return { reason: 'halt' };
      let isSpinning = false;
      gate.enter();
      try {
        const stop = this.#deliverPending();
        if (stop) return stop;
        if (left <= 0) return { reason: 'limit' };
        const executed = this.#slice(left);
        left -= executed.count;
        isSpinning = this.state.word(CPU.pauses) * SPIN_INSTRUCTIONS > executed.count;
        if (this.#intercepted) return this.#intercepted;
        if (this.#shutDown) return { reason: 'shutdown' };
        if (executed.end === RUN_END.Stop) {
          if (this.#context.stopReason === 'shutdown') return { reason: 'shutdown' };
          if (this.#context.stopReason === 'halt') this.#activity.halt();
        }
      } finally {
        gate.leave();
      }
      if (isSpinning) this.#services.relax?.();
    }
  }

  /** Runs up to a slice; single instructions at the end of a limit, in an interrupt shadow and where `SingleStep` wants them. */
  #slice(left: number): { count: number; end: number } {
    const { state } = this;
    const ripBefore = state.get(CPU.rip);
    const shadowed = state.get(CPU.shadowRip) === ripBefore;
    const single = left < 64 || shadowed || this.#single.isDue;
    this.#context.delivered = false;
    this.#context.stepsByNewFlags = false;
    let step: Step | undefined;
    if (single && !(step = this.#single.before())) return { count: 1, end: RUN_END.Budget };
    const tag = state.word(CPU.blockTag) & ~(BLOCK_TAG.step | BLOCK_TAG.break);
    state.setWord(CPU.blockTag, tag | (single ? BLOCK_TAG.step : 0) | (this.#debug.breaksOnExecution ? BLOCK_TAG.break : 0));
    state.setWord(CPU.pauses, 0);
    const budget = single ? 1 : Math.min(left, this.#sliceLength.instructions);
    state.setWord(CPU.regionBudget, this.#hotCode.growth.regionBudget(left - budget));
    const end = this.#run(state.blockAddress, budget);
    const count = budget - (state.word(CPU.budget) | 0);
    state.view.setFloat64(CPU.instructionCount, state.view.getFloat64(CPU.instructionCount, true) + count, true);
    if (shadowed && state.get(CPU.shadowRip) === ripBefore) state.set(CPU.shadowRip, NO_SHADOW);
    if (end === RUN_END.NearLimit) this.#single.next = true;
    if (step && !this.#intercepted) this.#single.after(step);
    else if (this.#debug.pending !== 0n) this.#debugException(this.#debug.pending);
    if (count >= this.#sliceLength.instructions) this.#sliceLength.adapt(this.#services.nowNs() - this.#lookedNs);
    return { count: Math.max(1, count), end };
  }

  /** Collects what happened outside; true when somebody kicked. */
  #takeAttention(): boolean {
    const { posted, interrupts } = this.#services;
    const called = posted.takeAttention();
    this.#blocks.takeWritten();
    if (called) {
      interrupts.collect(posted);
      this.#activity.collect(posted, () => this.#initialize());
    }
    this.#lookedNs = this.#services.nowNs();
    interrupts.tick(this.#lookedNs);
    this.#paravirt?.steal.update(this.#lookedNs);
    this.#paravirt?.eoi.collect();
    this.#tally.countUpTo('tlb miss', this.#mmu.tlb.fillCount);
    this.#tally.countUpTo('self-modifying code', this.#blocks.dropCount);
    const kicked = this.#kicked;
    this.#kicked = false;
    return kicked;
  }

  /** INIT. */
  #initialize(): void {
    initState(this.state);
    this.#msrs.mirror();
    this.#context.nmiBlocked = false;
    this.#debug.pending = 0n;
    this.#debugChanged();
    this.#services.interrupts.init();
    this.#mmu.tlb.flush(false);
  }

  /** False while there is nothing to execute. A vCPU that was asleep may have been asked to flush its TLB. */
  #isAwake(): boolean {
    const awake = this.#activity.isAwake(this.#context.nmiBlocked);
    if (!awake) this.#paravirt?.steal.sleep();
    else if (this.#paravirt?.steal.wake()) this.#mmu.tlb.flush(false);
    return awake;
  }

  /** Delivers an NMI or the highest interrupt where the guest takes it now. */
  #deliverPending(): VcpuStop | undefined {
    const { state } = this;
    const { interrupts } = this.#services;
    const shadowed = state.get(CPU.shadowRip) === state.get(CPU.rip);
    const vector = interrupts.highestPending();
    state.setWord(CPU.interruptPending, vector >= 0 ? 1 : 0);
    if (shadowed) return undefined;
    if (!this.#context.nmiBlocked && interrupts.takeNmi()) {
      this.#context.nmiBlocked = true;
      return this.#interrupt(Vector.NMI);
    }
    if (vector < 0 || (state.word(CPU.systemFlags) & INTERRUPTS_ENABLED) === 0) return undefined;
    interrupts.acknowledge(vector);
    this.#paravirt?.eoi.offer();
    state.setWord(CPU.interruptPending, interrupts.highestPending() >= 0 ? 1 : 0);
    return this.#interrupt(vector);
  }

  #interrupt(vector: number): VcpuStop | undefined {
    this.#tally.count('interrupt');
    const rip = (this.#context.rip = this.state.get(CPU.rip));
    return this.#deliver({ vector, software: false, isException: false, rip }) === 2 ? { reason: 'shutdown' } : undefined;
  }

  kick(): void {
    this.#kicked = true;
    this.#services.posted.wake();
  }

  reset(): void {
    this.#services.timeStamp.reset();
    resetState(this.state);
    this.#msrs.reset();
    this.#services.interrupts.reset();
    this.#shutDown = false;
    this.#context.nmiBlocked = false;
    this.#debug.pending = 0n;
    this.#debugChanged();
    this.#paravirt?.reset();
    this.#mmu.tlb.flush(false);
    this.#blocks.clear();
    this.#activity.reset();
  }

  /** Instructions executed since creation. */
  get instructionCount(): number {
    return this.state.view.getFloat64(CPU.instructionCount, true);
  }

  get compiledCode(): CompiledCode {
    return this.#regions.counts;
  }

  getState(): VcpuState {
    return exportState(this.state, this.#msrs, this.#services.interrupts.readTaskPriority());
  }

  setState(state: Partial<VcpuState>): void {
    importState(this.state, this.#msrs, state);
    this.#activity.stateWasSet();
    if (state.dr || state.cr4 !== undefined) this.#debugChanged();
    if (state.cr8 !== undefined) this.#services.interrupts.writeTaskPriority(Number(state.cr8));
    this.#mmu.tlb.flush(false);
  }
}
