export * from './console.ts';
export * from './constants.ts';
export type { ResizeOrder } from './messages.ts';
export type { ConsolePortConfig } from './port.ts';
