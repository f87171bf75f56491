/** A level-signalled wire from a device to an interrupt controller. */
export interface InterruptLine {
  /** True asserts the line, false releases it; repeating a level does nothing. */
  set(level: boolean): void;
}

/** Where message-signalled interrupts go: a 32-bit address in 0xFEExxxxx and its data (SDM vol. 3A §11.11). */
export interface MsiSink {
  send(address: number, data: number): void;
}

/** Delivery modes of an interrupt message (SDM vol. 3A §11.6.1). */
export const DeliveryMode = { Fixed: 0, LowestPriority: 1, Smi: 2, Nmi: 4, Init: 5, Startup: 6, ExtInt: 7 } as const;

/** What a vCPU sees of its local interrupt controller. */
export interface InterruptController {
  /** The vector to deliver now, or -1: highest priority above the processor priority. */
  highestPending(): number;
  /** Moves that vector into service. */
  acknowledge(vector: number): void;
  /** CR8: bits 7:4 of the task priority register. */
  readTaskPriority(): number;
  writeTaskPriority(value: number): void;
}
