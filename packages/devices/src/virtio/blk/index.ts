export * from './blk.ts';
export * from './config.ts';
export * from './constants.ts';
