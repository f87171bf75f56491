import { parentPort, workerData } from 'node:worker_threads';
import { ActivityReader } from '@hanok/emulator';
import { hostNowNs } from '../real-clock.ts';
import { Sampler } from './sampler.ts';

/** What a sampling thread is given. The control word becomes nonzero when it is to end. */
export interface SamplerWorkerData {
  readonly memory: WebAssembly.Memory;
  readonly vcpuCount: number;
  readonly control: SharedArrayBuffer;
}

/** Between two looks, in a random order of these, so that no period of the guest is met again and again. */
const INTERVALS_MS = [0.7, 0.85, 1, 1.15, 1.3];

const { memory, vcpuCount, control } = workerData as SamplerWorkerData;
const word = new Int32Array(control);
const sampler = new Sampler(Array.from({ length: vcpuCount }, (_, vcpu) => new ActivityReader(memory, vcpu)), hostNowNs());
while (Atomics.wait(word, 0, 0, INTERVALS_MS[Math.floor(Math.random() * INTERVALS_MS.length)]) === 'timed-out') sampler.sample(hostNowNs());
parentPort!.postMessage(sampler.result());
