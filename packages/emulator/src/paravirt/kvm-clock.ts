import type { GuestMemory } from '@hanok/machine';
import type { TimeStamp } from '../time-stamp.ts';

const NS_PER_S = 1_000_000_000;
const ENABLED = 1n;
const TSC_STABLE_BIT = 1;
const TIME_INFO_BYTES = 32;
const PAIRING_BYTES = 64;

/** The host's time. */
export interface ClockSource {
  /** Machine time. */
  nowNs(): number;
  /** Wall-clock time, in ns since 1970, at machine time 0. */
  wallStartNs(): number;
}

/**
 * How a time-stamp counter becomes nanoseconds: ((ticks << shift) * multiplier) >> 32, the multiplier with its top bit
 * set wherever that is possible. A negative shift goes right.
 */
export function clockScale(tscHz: number): { multiplier: number; shift: number } {
  let hz = tscHz;
  let shift = 0;
  for (; hz > NS_PER_S * 2; shift--) hz /= 2;
  for (; hz <= NS_PER_S; shift++) hz *= 2;
  return { multiplier: Math.floor((NS_PER_S * 2 ** 32) / hz), shift };
}

/**
 * The paravirtual clock of one vCPU: records in guest memory that make machine time out of the time-stamp counter
 * (msr.rst, MSR_KVM_SYSTEM_TIME_NEW and MSR_KVM_WALL_CLOCK_NEW). The counter never stops or changes its rate, and all
 * records start at the machine's beginning, so that what vCPUs compute from them never goes back between them.
 */
export class KvmClock {
  /** What the guest wrote to the MSRs. */
  systemTime = 0n;
  wallClock = 0n;
  readonly #memory: GuestMemory;
  readonly #timeStamp: TimeStamp;
  readonly #source: ClockSource;
  readonly #scale: ReturnType<typeof clockScale>;
  #version = 0;

  constructor(memory: GuestMemory, timeStamp: TimeStamp, tscHz: number, source: ClockSource) {
    this.#memory = memory;
    this.#timeStamp = timeStamp;
    this.#scale = clockScale(tscHz);
    this.#source = source;
  }

  reset(): void {
    this.systemTime = 0n;
    this.wallClock = 0n;
  }

  setSystemTime(value: bigint): void {
    this.systemTime = value;
    this.update();
  }

  /** To be called when the guest moved its time-stamp counter: writes the record anew. */
  update(): void {
    if ((this.systemTime & ENABLED) === 0n) return;
    const record = new DataView(new ArrayBuffer(TIME_INFO_BYTES));
    record.setUint32(0, (this.#version += 2), true);
    record.setBigUint64(8, this.#timeStamp.at(0), true);
    record.setBigUint64(16, 0n, true);
    record.setUint32(24, this.#scale.multiplier, true);
    record.setInt8(28, this.#scale.shift);
    record.setUint8(29, TSC_STABLE_BIT);
    this.#memory.write(Number(this.systemTime & ~ENABLED), new Uint8Array(record.buffer));
  }

  /** Writes the wall-clock time of the machine's beginning where the guest asked for it, once. */
  setWallClock(value: bigint): void {
    this.wallClock = value;
    const { seconds, ns } = split(this.#source.wallStartNs());
    const record = new DataView(new ArrayBuffer(12));
    record.setUint32(0, 2, true);
    record.setUint32(4, seconds, true);
    record.setUint32(8, ns, true);
    this.#memory.write(Number(value), new Uint8Array(record.buffer));
  }

  /** Writes wall-clock time and the time-stamp counter of one moment (hypercalls.rst, KVM_HC_CLOCK_PAIRING). */
  pair(gpa: number): boolean {
    const nowNs = this.#source.nowNs();
    const { seconds, ns } = split(this.#source.wallStartNs() + nowNs);
    const record = new DataView(new ArrayBuffer(PAIRING_BYTES));
    record.setBigInt64(0, BigInt(seconds), true);
    record.setBigInt64(8, BigInt(ns), true);
    record.setBigUint64(16, this.#timeStamp.at(nowNs), true);
    return this.#memory.write(gpa, new Uint8Array(record.buffer));
  }
}

const split = (wallNs: number) => ({ seconds: Math.floor(wallNs / NS_PER_S), ns: Math.floor(wallNs % NS_PER_S) });
