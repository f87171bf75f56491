export { runCli } from './cli.ts';
export type { Io } from './io.ts';
export type { Services } from './services.ts';
