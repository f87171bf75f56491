import { CPU_MODELS, DEFAULT_CPU_MODEL } from '@hanok/emulator/shared';

/** What a guest's CPUID can say. */
export const CPU_MODEL_NAMES: readonly string[] = [...CPU_MODELS.keys()];
export const DEFAULT_CPU_MODEL_NAME = DEFAULT_CPU_MODEL.name;
