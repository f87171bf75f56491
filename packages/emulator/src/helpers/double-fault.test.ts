import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Vector } from '@hanok/x86';
import { CpuState } from '../cpu-state.ts';
import { GuestFault, type SystemContext } from '../helper.ts';
import { resetState } from '../state-exchange.ts';
import { deliverOrDouble } from './double-fault.ts';

const STATE_BYTES = 0x1000;

/** A context in real mode whose memory answers each access with these exceptions, one after another, the last for ever. */
function failingContext(...vectors: number[]): { context: SystemContext; reads: () => number } {
  const state = new CpuState(new ArrayBuffer(STATE_BYTES), 0, STATE_BYTES);
  resetState(state);
  let reads = 0;
  const readSystem = () => {
    const vector = vectors[Math.min(reads++, vectors.length - 1)]!;
    throw new GuestFault(vector, 0);
  };
  return { context: { state, rip: 0n, eventDelivered: () => {}, readSystem } as unknown as SystemContext, reads: () => reads };
}

const event = (vector: number) => ({ vector, software: false, rip: 0n });

test('a contributory exception in delivering one doubles, and then shuts down', () => {
  const { context, reads } = failingContext(Vector.NP);
  assert.equal(deliverOrDouble(context, event(Vector.GP)), false);
  assert.equal(reads(), 2);
});

test('a page fault in delivering a general protection fault is delivered itself', () => {
  const { context, reads } = failingContext(Vector.PF, Vector.GP);
  assert.equal(deliverOrDouble(context, event(Vector.GP)), false);
  assert.equal(reads(), 3);
});

test('exceptions that never double come to an end', () => {
  assert.equal(deliverOrDouble(failingContext(Vector.AC).context, event(Vector.AC)), false);
});
