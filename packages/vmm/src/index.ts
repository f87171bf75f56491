export * from './cpu-models.ts';
export * from './config.ts';
export type { MachineProfile, ProfileCode, ProfilePlace } from './profile/machine-profile.ts';
export { createMachine } from './machine.ts';
