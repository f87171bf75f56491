/** Where the timer gets time from. `nowNs` and `tscNow` advance together; a paused machine stops both. */
export interface ApicTimerTime {
  /** Frequency of the core crystal clock, as CPUID leaf 0x15 reports it; the count registers use it. */
  readonly crystalHz: number;
  readonly tscHz: number;
  nowNs(): number;
  /** The guest's time-stamp counter. */
  tscNow(): bigint;
}

const TimerMode = { OneShot: 0, Periodic: 1, TscDeadline: 2 } as const;

/** What `ApicTimer.save` gives; the remaining time is -1 while nothing is armed. */
export interface SavedApicTimer {
  readonly timerInitialCount: number;
  readonly timerDivideConfiguration: number;
  readonly timerRemainingNs: number;
  readonly timerDeadlineTsc: string;
}

/**
 * The timer of a local APIC (SDM vol. 3A §11.5.4). It calls nobody by itself: the vCPU's loop looks at `dueNs` and calls
 * `tick`. A masked timer goes on counting, but is not due.
 */
export class ApicTimer {
  /** When `tick` has something to do; Infinity when never. */
  dueNs = Infinity;
  readonly #time: ApicTimerTime;
  readonly #fire: () => void;
  #mode: number = TimerMode.OneShot;
  #masked = true;
  #initialCount = 0;
  #divideConfiguration = 0;
  #countNs = 0;
  #expiryNs = Infinity;
  #deadlineTsc = 0n;

  constructor(time: ApicTimerTime, fire: () => void) {
    this.#time = time;
    this.#fire = fire;
    this.reset();
  }

  reset(): void {
    this.#mode = TimerMode.OneShot;
    this.#masked = true;
    this.#initialCount = 0;
    this.#deadlineTsc = 0n;
    this.#setDivide(0);
    this.#arm(Infinity);
  }

  /** Fires the timer when it is due. However late the call, a periodic timer fires once. */
  tick(nowNs: number): void {
    if (nowNs >= this.#expiryNs) this.#expire(nowNs);
  }

  /** The mode and mask of the LVT entry changed. Going into or out of TSC-deadline mode disarms the timer. */
  configure(mode: number, masked: boolean): void {
    this.tick(this.#time.nowNs());
    const wasDeadline = this.#mode === TimerMode.TscDeadline;
    this.#mode = mode;
    this.#masked = masked;
    if (wasDeadline !== (mode === TimerMode.TscDeadline)) {
      this.#initialCount = 0;
      this.#deadlineTsc = 0n;
      this.#arm(Infinity);
    } else {
      this.#arm(this.#expiryNs);
    }
  }

  get initialCount(): number {
    return this.#initialCount;
  }

  /** Starts counting down from `count`; zero stops. Ignored in TSC-deadline mode. */
  setInitialCount(count: number): void {
    if (this.#mode === TimerMode.TscDeadline) return;
    const nowNs = this.#time.nowNs();
    this.tick(nowNs);
    this.#initialCount = count;
    this.#arm(count === 0 ? Infinity : nowNs + count * this.#countNs);
  }

  currentCount(): number {
    const nowNs = this.#time.nowNs();
    this.tick(nowNs);
    if (this.#mode === TimerMode.TscDeadline || this.#expiryNs === Infinity) return 0;
    return Math.min(this.#initialCount, Math.max(0, Math.ceil((this.#expiryNs - nowNs) / this.#countNs)));
  }

  get divideConfiguration(): number {
    return this.#divideConfiguration;
  }

  setDivideConfiguration(value: number): void {
    const count = this.currentCount();
    this.#setDivide(value);
    if (count > 0) this.#arm(this.#time.nowNs() + count * this.#countNs);
  }

  /** IA32_TSC_DEADLINE; zero while disarmed. */
  get deadlineTsc(): bigint {
    this.tick(this.#time.nowNs());
    return this.#deadlineTsc;
  }

  /** Arms for the moment the TSC reaches `tsc`, at once when it has; zero disarms. Ignored in the other modes. */
  setDeadlineTsc(tsc: bigint): void {
    if (this.#mode !== TimerMode.TscDeadline) return;
    const nowNs = this.#time.nowNs();
    this.tick(nowNs);
    this.#deadlineTsc = tsc;
    if (tsc === 0n) {
      this.#arm(Infinity);
      return;
    }
    const delta = Number(tsc - this.#time.tscNow());
    this.#arm(delta > 0 ? nowNs + (delta * 1e9) / this.#time.tscHz : nowNs);
    this.tick(nowNs);
  }

  /** The guest moved its time-stamp counter: an armed deadline is at another moment now. */
  tscChanged(): void {
    if (this.#deadlineTsc !== 0n) this.setDeadlineTsc(this.#deadlineTsc);
  }

  save(): SavedApicTimer {
    const nowNs = this.#time.nowNs();
    this.tick(nowNs);
    return {
      timerInitialCount: this.#initialCount,
      timerDivideConfiguration: this.#divideConfiguration,
      timerRemainingNs: this.#expiryNs === Infinity ? -1 : Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(this.#expiryNs - nowNs)),
      timerDeadlineTsc: `0x${this.#deadlineTsc.toString(16)}`,
    };
  }

  /** `mode` and `masked` come from the restored LVT entry; the TSC must have been restored before. */
  restore(mode: number, masked: boolean, saved: Omit<SavedApicTimer, 'timerDeadlineTsc'> & { readonly timerDeadlineTsc: bigint }): void {
    this.reset();
    this.#mode = mode;
    this.#masked = masked;
    this.#setDivide(saved.timerDivideConfiguration);
    if (mode === TimerMode.TscDeadline) {
      this.setDeadlineTsc(saved.timerDeadlineTsc);
    } else {
      const idle = saved.timerRemainingNs < 0 || saved.timerInitialCount === 0;
      this.#initialCount = saved.timerInitialCount;
      this.#arm(idle ? Infinity : this.#time.nowNs() + saved.timerRemainingNs);
    }
  }

  #expire(nowNs: number): void {
    if (this.#mode === TimerMode.Periodic && this.#initialCount > 0) {
      const periodNs = this.#initialCount * this.#countNs;
      const next = this.#expiryNs + (Math.floor((nowNs - this.#expiryNs) / periodNs) + 1) * periodNs;
      this.#arm(next > nowNs ? next : nowNs + periodNs);
    } else {
      this.#deadlineTsc = 0n;
      this.#arm(Infinity);
    }
    if (!this.#masked) this.#fire();
  }

  #arm(expiryNs: number): void {
    this.#expiryNs = expiryNs;
    this.dueNs = this.#masked ? Infinity : expiryNs;
  }

  /** SDM vol. 3A figure 11-10: bits 3, 1 and 0; all ones divides by 1, otherwise by 2 to the (value + 1). */
  #setDivide(value: number): void {
    this.#divideConfiguration = value & 0xb;
    const shift = ((((value >> 1) & 4) | (value & 3)) + 1) & 7;
    this.#countNs = (2 ** shift * 1e9) / this.#time.crystalHz;
  }
}
