export * from './allocator.ts';
export * from './bar.ts';
export * from './bus.ts';
export * from './config-space.ts';
export * from './constants.ts';
export * from './function.ts';
export * from './msix.ts';
export * from './saved-state.ts';
