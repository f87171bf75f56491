/** The device that lives in a vCPU's own thread, and what that must know of others. */
export { IO_APIC_BASE } from './io-apic.ts';
export { LOCAL_APIC_BASE, LOCAL_APIC_SIZE_BYTES } from './local-apic-registers.ts';
export { LocalApic } from './local-apic.ts';
export { isPostedPort } from './uart-16550.ts';
