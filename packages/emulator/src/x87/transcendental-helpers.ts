import type { Helper } from '../helper.ts';
export const TRANSCENDENTAL_HELPERS: Record<string, Helper> = {};
