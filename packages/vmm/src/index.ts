export * from './config.ts';
export { createMachine } from './machine.ts';
