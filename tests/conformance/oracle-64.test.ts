import { compareEngine } from './compare-engine.ts';

// 64-bit code, interpreted.
compareEngine({ mode: 64, compiled: false });
