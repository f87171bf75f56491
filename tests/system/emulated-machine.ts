import { LOCAL_APIC_BASE, LOCAL_APIC_SIZE_BYTES, LocalApic } from '@hanok/devices';
import { buildInterpreter, type CompilePolicy, EmulatedVcpu, postedInterruptsOf, TimeStamp, machineMemory, DEFAULT_CPU_MODEL } from '@hanok/emulator';
import { CodePages, ExitCounters, GuestMemory, type VcpuBus } from '@hanok/machine';
import { IMAGE_ADDRESS } from './guest-image.ts';
import { type GuestReport, parseReport } from './report.ts';

const REPORT_PORT = 0xe9;
const EXIT_PORT = 0xf4;
const RAM_BYTES = 16 << 20;
const CRYSTAL_HZ = 25_000_000;
const RUN_INSTRUCTIONS = 1_000_000;
const RUNS_MAX = 20;
/** How far machine time moves with each look at it. */
const STEP_NS = 1000;

export const POLICIES: Readonly<Record<'interpreter' | 'regions' | 'short regions' | 'growing regions', CompilePolicy>> = {
  interpreter: { hotCount: 0x3fff_ffff, doublingsMax: 0, batchRegions: 1, batchSlices: 1 },
  regions: { hotCount: 1, doublingsMax: 0, batchRegions: 1, batchSlices: 1 },
  // They go on in one another by links.
  'short regions': { hotCount: 2, doublingsMax: 0, batchRegions: 1, batchSlices: 1, regionInstructionsMax: 3 },
  // They are made again as soon as they go on in one another, with what was seen to run there.
  'growing regions': { hotCount: 2, doublingsMax: 0, batchRegions: 1, batchSlices: 1, regionInstructionsMax: 3, growCount: 2, traceBlocks: 4 },
};

let built: { image: ReturnType<typeof buildInterpreter>; module: WebAssembly.Module } | undefined;

function interpreter() {
  if (!built) {
    const image = buildInterpreter();
    built = { image, module: new WebAssembly.Module(image.bytes as Uint8Array<ArrayBuffer>) };
  }
  return built;
}

/** A vCPU with RAM, a local APIC and the report port. Time is the machine's own: it moves when somebody looks, and in HLT. */
export function runEmulated(image: Uint8Array, compilePolicy: CompilePolicy): GuestReport {
  const { ramAddress, codePagesAddress, pageCount } = machineMemory(1, RAM_BYTES);
  const memory = new GuestMemory(new WebAssembly.Memory({ initial: pageCount, maximum: pageCount, shared: true }), ramAddress, RAM_BYTES);
  memory.write(IMAGE_ADDRESS, image);
  let nowNs = 0;
  const clock = () => (nowNs += STEP_NS);
  let text = '';
  let ended = false;
  const timeStamp = new TimeStamp(clock, DEFAULT_CPU_MODEL.tscHz);
  const apic = new LocalApic({
    id: 0, bootProcessor: true, physicalAddressBits: 40, crystalHz: CRYSTAL_HZ, tscHz: DEFAULT_CPU_MODEL.tscHz, nowNs: clock, tscNow: () => timeStamp.read(), onEoi: () => {}, sendIpi: () => {},
  });
  const isApic = (gpa: number) => gpa >= LOCAL_APIC_BASE && gpa < LOCAL_APIC_BASE + LOCAL_APIC_SIZE_BYTES;
  const bus: VcpuBus = {
    readPort: (_, width) => 2 ** (8 * width) - 1,
    writePort(port, value) {
      if (port === REPORT_PORT) text += String.fromCharCode(value & 0xff);
      if (port !== EXIT_PORT) return;
      ended = true;
      vcpu.kick();
    },
    readMmio: (gpa, width) => (isApic(gpa) ? apic.read(gpa - LOCAL_APIC_BASE, width) : 2 ** (8 * width) - 1),
    writeMmio: (gpa, value, width) => void (isApic(gpa) && apic.write(gpa - LOCAL_APIC_BASE, value, width)),
  };
  const log: string[] = [];
  const vcpu = new EmulatedVcpu({
    memory, ...interpreter(), compilePolicy,
    codePages: new CodePages(memory.memory.buffer as ArrayBufferLike, codePagesAddress, RAM_BYTES),
    services: {
      bus, interrupts: apic, timeStamp, nowNs: clock, apicId: 0, model: DEFAULT_CPU_MODEL,
      posted: postedInterruptsOf(memory.memory, 0),
      exits: new ExitCounters(new SharedArrayBuffer(ExitCounters.sizeBytes)),
      randomWord: () => 0x0123_4567_89ab_cdefn,
      log: (line) => log.push(line),
    },
  });
  const code = { selector: 0, base: 0n, limit: 0xffff, access: 0x9b };
  const { segments } = vcpu.getState();
  vcpu.setState({ segments: segments.map((segment, index) => (index === 1 ? code : segment)), rip: BigInt(IMAGE_ADDRESS) });
  let outcome = '';
  const outOfTime = () => `${RUNS_MAX} runs were not enough, at 0x${vcpu.getState().rip.toString(16)}`;
  for (let run = 0; !ended && run < RUNS_MAX; run++) {
    const { reason } = vcpu.run(RUN_INSTRUCTIONS);
    if (reason === 'halt' && apic.nextDeadlineNs() === Number.POSITIVE_INFINITY) outcome = 'HLT with nothing to wake it';
    else if (reason === 'shutdown') outcome = `triple fault (${log.join('; ')})`;
    else {
      if (reason === 'halt') nowNs = Math.max(nowNs, apic.nextDeadlineNs());
      continue;
    }
    break;
  }
  return parseReport(text, outcome || outOfTime());
}
