/** What threads beside the vCPUs' need of the emulator: little, so that a command starts at once. */
export { CPU_MODELS, DEFAULT_CPU_MODEL } from './cpu-model.ts';
export { machineMemory } from './machine-memory.ts';
export type { ShapeTable } from './shape-table.ts';
export { postedInterruptsOf, shapeTableOf } from './vcpu-sharing.ts';
