import { compareEngine } from './compare-engine.ts';

// Compiled 64-bit code.
compareEngine({ mode: 64, compiled: true });
