/**
 * What the processor is known not to do (README.md says so), and which is therefore left out of ordinary runs:
 * MXCSR's exception flags, and SSE with rounding, denormal control or masks other than after reset. With
 * HANOK_ORACLE_SSE_CONTROL=1 it is compared like everything else.
 */
export const COMPARES_SSE_CONTROL = process.env['HANOK_ORACLE_SSE_CONTROL'] === '1';

/** For the summary of a run. */
export const KNOWN_GAP = 'not compared: MXCSR exception flags, and SSE under any MXCSR but 0x1F80 (HANOK_ORACLE_SSE_CONTROL=1 compares them)';
