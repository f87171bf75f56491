export * from './acpi-power.ts';
export * from './cmos-rtc.ts';
export * from './io-apic.ts';
export type { IpiMessage } from './local-apic-ipi.ts';
export type { ApicTimerTime } from './local-apic-timer.ts';
export * from './local-apic.ts';
export * from './reset-control.ts';
export * from './uart-16550.ts';
