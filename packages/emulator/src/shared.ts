/** What threads beside the vCPUs' need of the emulator: little, so that a command starts at once. */
export { CPU_MODELS, DEFAULT_CPU_MODEL } from './cpu-model.ts';
export { JOURNAL_WORDS, journalWords, makeKeptBlocks } from './kept-blocks.ts';
export { machineMemory } from './machine-memory.ts';
export { postedInterruptsOf } from './vcpu-sharing.ts';
