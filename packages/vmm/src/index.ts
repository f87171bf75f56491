export * from './cpu-models.ts';
export * from './config.ts';
export { createMachine } from './machine.ts';
