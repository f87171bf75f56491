import type { VcpuBus } from '@hanok/machine';
import type { CpuState } from './cpu-state.ts';
import { CPU } from './layout.ts';
import type { VcpuServices } from './system-services.ts';

/** A bus on which writes to the local APIC that make an interrupt pending (an IPI to oneself, a lower task priority) are noticed at once, not at the slice's end. */
export function noticingBus(bus: VcpuBus, { interrupts, posted }: VcpuServices, state: CpuState): VcpuBus {
  return {
    readPort: (port, widthBytes) => bus.readPort(port, widthBytes),
    writePort: (port, value, widthBytes) => bus.writePort(port, value, widthBytes),
    readMmio: (gpa, widthBytes) => bus.readMmio(gpa, widthBytes),
    writeMmio(gpa, value, widthBytes) {
      bus.writeMmio(gpa, value, widthBytes);
      const pending = interrupts.highestPending() >= 0;
      state.setWord(CPU.interruptPending, pending ? 1 : 0);
      if (pending || interrupts.nmiPending) posted.wake();
    },
  };
}
