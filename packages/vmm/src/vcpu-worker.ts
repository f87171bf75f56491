import { webcrypto } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { LOCAL_APIC_BASE, LOCAL_APIC_SIZE_BYTES, LocalApic, IO_APIC_BASE } from '@hanok/devices';
import { buildInterpreter, EmulatedVcpu, type InterpreterImage, TimeStamp, VCPU_BLOCK_BYTES, X86_64_V1 } from '@hanok/emulator';
import { CodePages, ExitCounters, GuestMemory, PostedInterrupts, type VcpuBus } from '@hanok/machine';
import { MailboxBus } from './mailbox.ts';
import { RealClock } from './real-clock.ts';
import { CONTROL_STOP, type VcpuWorkerData, type VcpuWorkerMessage } from './vcpu-worker-data.ts';

const CRYSTAL_HZ = 25_000_000;
const IO_APIC_EOI = IO_APIC_BASE + 0x40;
/** The longest sleep in HLT, so that a lost wake-up costs little. */
const HALT_MS_MAX = 1000;

const data = workerData as VcpuWorkerData;
const clock = new RealClock(data.startMs);
const memory = new GuestMemory(data.memory, VCPU_BLOCK_BYTES, data.memoryBytes);
const posted = new PostedInterrupts(data.posted);
const instructions = new Float64Array(data.instructions);
const control = new Int32Array(data.control);
const outside = new MailboxBus(data.mailbox);
const send = (message: VcpuWorkerMessage) => parentPort!.postMessage(message);

const timeStamp = new TimeStamp(() => clock.nowNs(), X86_64_V1.tscHz);
const apic = new LocalApic({
  id: 0,
  bootProcessor: true,
  physicalAddressBits: 40,
  crystalHz: CRYSTAL_HZ,
  tscHz: X86_64_V1.tscHz,
  nowNs: () => clock.nowNs(),
  tscNow: () => timeStamp.read(),
  onEoi: (vector) => outside.writeMmio(IO_APIC_EOI, vector, 4),
  sendIpi: () => {},
});

const isApic = (gpa: number) => gpa >= LOCAL_APIC_BASE && gpa < LOCAL_APIC_BASE + LOCAL_APIC_SIZE_BYTES;
/** The local APIC is here; everything else is Dom0's. */
const bus: VcpuBus = {
  readPort: (port, width) => outside.readPort(port, width),
  writePort: (port, value, width) => outside.writePort(port, value, width),
  readMmio: (gpa, width) => (isApic(gpa) ? apic.read(gpa - LOCAL_APIC_BASE, width) : outside.readMmio(gpa, width)),
  writeMmio: (gpa, value, width) => (isApic(gpa) ? apic.write(gpa - LOCAL_APIC_BASE, value, width) : outside.writeMmio(gpa, value, width)),
};

const image: InterpreterImage = buildInterpreter(data.maxPages);
const random = new BigUint64Array(64);
let randomLeft = 0;

const vcpu = new EmulatedVcpu({
  memory,
  blockAddress: 0,
  image,
  module: new WebAssembly.Module(image.bytes as Uint8Array<ArrayBuffer>),
  codePages: new CodePages(data.codePages, data.memoryBytes),
  services: {
    bus,
    interrupts: apic,
    posted,
    exits: new ExitCounters(data.exits),
    model: X86_64_V1,
    apicId: 0,
    timeStamp,
    nowNs: () => clock.nowNs(),
    randomWord() {
      if (randomLeft === 0) randomLeft = webcrypto.getRandomValues(random).length;
      return random[--randomLeft]!;
    },
    log: (line) => send({ kind: 'log', line }),
  },
});
vcpu.setState(data.initial);
runUntilStopped();

function runUntilStopped(): void {
  while (Atomics.load(control, CONTROL_STOP) === 0) {
    const stop = vcpu.run(2_000_000);
    instructions[0] = vcpu.instructionCount;
    if (stop.reason === 'shutdown') {
      send({ kind: 'shutdown' });
      return;
    }
    if (stop.reason === 'halt') posted.wait(Math.min(HALT_MS_MAX, Math.max(0, (apic.nextDeadlineNs() - clock.nowNs()) / 1e6)));
  }
  send({ kind: 'stopped' });
}
