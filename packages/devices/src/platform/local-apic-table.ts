import type { InterruptPriority } from './interrupt-priority.ts';
import { type ApicRegister, ICR_INDEX, Lvt, LVT_IGNORED, LVT_WRITABLE, VERSION } from './local-apic-registers.ts';
import type { ApicTimer } from './local-apic-timer.ts';
import type { VectorSet } from './vector-set.ts';

/** Registers of a local APIC that hold a number and no more. */
export interface ApicValues {
  ldr: number;
  dfr: number;
  svr: number;
  icrLow: number;
  icrHigh: number;
  errorStatus: number;
}

/** What the registers show of a local APIC, and what writes do. */
export interface ApicRegisterParts {
  readonly id: number;
  readonly values: ApicValues;
  readonly priority: InterruptPriority;
  readonly timer: ApicTimer;
  isX2apic(): boolean;
  readLvt(entry: number): number;
  writeLvt(entry: number, value: number): void;
  endOfInterrupt(): void;
  setLogical(destination: number, format: number): void;
  writeSvr(value: number): void;
  latchErrors(): void;
  writeIcr(value: number): void;
  selfIpi(vector: number): void;
}

/** The registers (SDM vol. 3A tables 11-1 and 11-6). */
export function apicRegisters(parts: ApicRegisterParts): ApicRegister[] {
  const { id, values, priority, timer } = parts;
  const sets = (name: string, index: number, set: VectorSet): ApicRegister[] =>
    Array.from({ length: 8 }, (_, word) => ({ name: `${name}${word}`, index: index + word, read: () => set.words[word]! }));
  const lvt = (name: string, index: number, entry: number): ApicRegister => ({
    name,
    index,
    read: () => parts.readLvt(entry),
    write: (value) => parts.writeLvt(entry, value),
    reserved: ~(LVT_WRITABLE[entry]! | LVT_IGNORED),
  });
  return [
    { name: 'ID', index: 0x02, read: () => (parts.isX2apic() ? id : id << 24) },
    { name: 'version', index: 0x03, read: () => VERSION },
    {
      name: 'TPR',
      index: 0x08,
      read: () => priority.taskPriority,
      write: (value) => priority.setTaskPriority(value),
      reserved: ~0xff,
    },
    { name: 'APR', index: 0x09, only: 'xapic' },
    { name: 'PPR', index: 0x0a, read: () => priority.processorPriority },
    { name: 'EOI', index: 0x0b, write: () => parts.endOfInterrupt(), reserved: ~0 },
    { name: 'RRD', index: 0x0c, only: 'xapic' },
    {
      name: 'LDR',
      index: 0x0d,
      read: () => values.ldr,
      write: (value) => parts.setLogical((value & 0xff000000) >>> 0, values.dfr),
      fixedInX2apic: true,
    },
    { name: 'DFR', index: 0x0e, read: () => values.dfr, write: (value) => parts.setLogical(values.ldr, (value | 0x0fffffff) >>> 0), only: 'xapic' },
    { name: 'SVR', index: 0x0f, read: () => values.svr, write: (value) => parts.writeSvr(value), reserved: ~0x3ff },
    ...sets('ISR', 0x10, priority.inService),
    ...sets('TMR', 0x18, priority.levels),
    ...sets('IRR', 0x20, priority.requests),
    { name: 'ESR', index: 0x28, read: () => values.errorStatus, write: () => parts.latchErrors(), reserved: ~0 },
    lvt('LVT CMCI', 0x2f, Lvt.Cmci),
    { name: 'ICR', index: ICR_INDEX, read: () => values.icrLow, write: (value) => parts.writeIcr(value), reserved: 0xfff33000 },
    { name: 'ICR high', index: 0x31, read: () => values.icrHigh, write: (value) => void (values.icrHigh = value), only: 'xapic' },
    lvt('LVT timer', 0x32, Lvt.Timer),
    lvt('LVT thermal', 0x33, Lvt.Thermal),
    lvt('LVT performance', 0x34, Lvt.Performance),
    lvt('LVT LINT0', 0x35, Lvt.Lint0),
    lvt('LVT LINT1', 0x36, Lvt.Lint1),
    lvt('LVT error', 0x37, Lvt.Error),
    { name: 'initial count', index: 0x38, read: () => timer.initialCount, write: (value) => timer.setInitialCount(value) },
    { name: 'current count', index: 0x39, read: () => timer.currentCount() },
    {
      name: 'divide configuration',
      index: 0x3e,
      read: () => timer.divideConfiguration,
      write: (value) => timer.setDivideConfiguration(value),
      reserved: ~0xb,
    },
    { name: 'SELF IPI', index: 0x3f, write: (value) => parts.selfIpi(value & 0xff), reserved: ~0xff, only: 'x2apic' },
  ];
}
