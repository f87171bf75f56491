import { webcrypto } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { FIRMWARE_MSRS } from '@hanok/boot/firmware-msrs';
import { IO_APIC_BASE, isPostedPort, LOCAL_APIC_BASE, LOCAL_APIC_SIZE_BYTES, LocalApic } from '@hanok/devices/vcpu-devices';
import { ActivityWord, buildInterpreter, CPU_MODELS, EmulatedVcpu, machineMemory, NO_RECORDER, type ParavirtHost, postedInterruptsOf, TimeStamp } from '@hanok/emulator';
import { CodePages, ExitCounters, GuestMemory, VcpuGate, type VcpuBus } from '@hanok/machine';
import { InterpreterFile } from './interpreter-file.ts';
import { InterruptRouter } from './interrupt-router.ts';
import { threadData } from './machine-threads.ts';
import { MailboxBus } from './mailbox.ts';
import { RealClock } from './real-clock.ts';
import { RemoteCompiler } from './remote-compiler.ts';
import { StolenTime } from './stolen-time.ts';
import { type BuiltInterpreter, builtInterpreter, CONTROL_STOP, type VcpuWorkerData, type VcpuWorkerMessage, writeCompiledCode } from './vcpu-worker-data.ts';

const CRYSTAL_HZ = 25_000_000;
const IO_APIC_EOI = IO_APIC_BASE + 0x40;
/** The longest sleep in HLT, so that a lost wake-up costs little. */
const HALT_MS_MAX = 1000;
/** Instructions between two looks at whether to stop. */
const RUN_INSTRUCTIONS = 2_000_000;
/** How long a vCPU that yields leaves the host's processor to others, unless it is needed sooner. */
const YIELD_MS = 0.05;

const { shared, index, interpreter, compiler, initial } = await threadData<VcpuWorkerData>();
const { vcpuCount } = shared;
const clock = new RealClock(shared.startNs);
const layout = machineMemory(vcpuCount, shared.memoryBytes);
const memory = new GuestMemory(shared.memory, layout.ramAddress, shared.memoryBytes);
const allPosted = Array.from({ length: vcpuCount }, (_, vcpu) => postedInterruptsOf(shared.memory, vcpu));
const posted = allPosted[index]!;
const router = new InterruptRouter(shared.apicDirectory, allPosted);
const kick = (vcpu: number) => allPosted[vcpu]!.wake();
const codePages = new CodePages(shared.memory.buffer as ArrayBufferLike, layout.codePagesAddress, shared.memoryBytes, vcpuCount, kick);
const instructions = new Float64Array(shared.instructions);
const control = new Int32Array(shared.control);
const stolen = new StolenTime();
const activity = shared.compiled ? new ActivityWord(shared.memory, index) : NO_RECORDER;
const outside = activity.recordingBus(new MailboxBus(shared.mailboxes, index, isPostedPort));
const send = (message: VcpuWorkerMessage) => parentPort!.postMessage(message);

const model = CPU_MODELS.get(shared.cpuModel);
if (!model) throw new Error(`no CPU model ${shared.cpuModel}; there are ${[...CPU_MODELS.keys()].join(', ')}`);
const timeStamp = new TimeStamp(() => clock.nowNs(), model.tscHz);
const apic = new LocalApic({
  id: index,
  bootProcessor: index === 0,
  physicalAddressBits: 40,
  crystalHz: CRYSTAL_HZ,
  tscHz: model.tscHz,
  nowNs: () => clock.nowNs(),
  tscNow: () => timeStamp.read(),
  onEoi: (vector) => outside.writeMmio(IO_APIC_EOI, vector, 4),
  sendIpi: (message) => router.send(message, index),
  onAddress: (address) => router.publish(index, address),
});

memory.onWritten((gpa, lengthBytes) => codePages.deviceWrote(gpa, lengthBytes));

const relax = activity.recording('yielding', () => stolen.waiting(() => posted.wait(YIELD_MS)));
const paravirt: ParavirtHost = {
  nowNs: () => clock.nowNs(),
  wallStartNs: () => Date.now() * 1e6 - clock.nowNs(),
  stolenNs: () => stolen.read(),
  sendIpi(vcpus, mode, vector) {
    const targets = vcpus.filter((vcpu) => vcpu < vcpuCount);
    router.deliver(targets, mode, vector);
    return targets.length;
  },
  kick(vcpu) {
    allPosted[vcpu]?.postKick();
    return vcpu < vcpuCount;
  },
  yield: relax,
};

const isApic = (gpa: number) => gpa >= LOCAL_APIC_BASE && gpa < LOCAL_APIC_BASE + LOCAL_APIC_SIZE_BYTES;
/** The local APIC is here; everything else is Dom0's. */
const bus: VcpuBus = {
  readPort: (port, width) => stolen.waiting(() => outside.readPort(port, width)),
  writePort: (port, value, width) => stolen.waiting(() => outside.writePort(port, value, width)),
  readMmio: (gpa, width) => (isApic(gpa) ? apic.read(gpa - LOCAL_APIC_BASE, width) : stolen.waiting(() => outside.readMmio(gpa, width))),
  writeMmio: (gpa, value, width) => (isApic(gpa) ? apic.write(gpa - LOCAL_APIC_BASE, value, width) : stolen.waiting(() => outside.writeMmio(gpa, value, width))),
};

function build(): BuiltInterpreter {
  const recordsActivity = shared.compiled !== undefined;
  const image = buildInterpreter(recordsActivity);
  const built = builtInterpreter(image);
  send({ kind: 'interpreter', interpreter: built });
  if (shared.cacheFolder !== undefined) new InterpreterFile(shared.cacheFolder, recordsActivity).write(image);
  return built;
}

const random = new BigUint64Array(64);
let randomLeft = 0;

const { image, module } = interpreter ?? build();
const vcpu = new EmulatedVcpu({
  memory,
  index,
  vcpuCount,
  gate: new VcpuGate(shared.gate, vcpuCount, index, kick),
  image,
  module,
  codePages,
  regionCompiler: new RemoteCompiler(compiler),
  activity,
  waitsForStartup: initial === undefined,
  services: {
    bus,
    interrupts: apic,
    posted,
    exits: new ExitCounters(shared.exits, index * ExitCounters.sizeBytes),
    model,
    apicId: index,
    vcpuCount,
    timeStamp,
    ...(shared.paravirt ? { paravirt } : {}),
    nowNs: () => clock.nowNs(),
    ...(vcpuCount > 1 ? { relax } : {}),
    randomWord() {
      if (randomLeft === 0) randomLeft = webcrypto.getRandomValues(random).length;
      return random[--randomLeft]!;
    },
    log: (line) => send({ kind: 'log', line: vcpuCount === 1 ? line : `vCPU ${index}: ${line}` }),
  },
});
vcpu.setState({ msrs: FIRMWARE_MSRS });
if (initial) vcpu.setState(initial);
activity.during('between slices', runUntilStopped);

function runUntilStopped(): void {
  while (Atomics.load(control, CONTROL_STOP) === 0) {
    const stop = vcpu.run(RUN_INSTRUCTIONS);
    instructions[index] = vcpu.instructionCount;
    if (shared.compiled) writeCompiledCode(shared.compiled, index, vcpu.compiledCode);
    if (stop.reason === 'shutdown') {
      send({ kind: 'shutdown' });
      return;
    }
    if (stop.reason !== 'halt') continue;
    const waitMs = Math.min(HALT_MS_MAX, Math.max(0, (apic.nextDeadlineNs() - clock.nowNs()) / 1e6));
    activity.during('halted', () => stolen.waiting(() => posted.wait(waitMs)));
  }
}
