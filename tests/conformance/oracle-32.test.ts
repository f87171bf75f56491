import { compareEngine } from './compare-engine.ts';

// 32-bit code, which is only interpreted.
compareEngine({ mode: 32, compiled: false });
