/** What is seen of a vCPU at one moment: `ActivityReader` in production. */
export interface Sampled {
  readonly activity: number;
  readonly blockHigh: number;
  readonly blockLow: number;
  readonly pageTables: number;
  look(): void;
}

/** Something that was seen: an activity, where in the guest's code, and how long in all. Kernel code is in all address spaces: its page tables are 0. */
export interface SampledPlace {
  readonly activity: number;
  readonly high: number;
  readonly low: number;
  readonly pageTables: number;
  ns: number;
}

/** Of one vCPU in order of time: indices of places, and the time that each sample stands for. */
export interface VcpuSamples {
  readonly places: readonly number[];
  readonly weightsNs: readonly number[];
}

export interface SamplerResult {
  readonly durationNs: number;
  readonly sampleCount: number;
  readonly places: readonly SampledPlace[];
  readonly vcpus: readonly VcpuSamples[];
}

/** Samples kept of each vCPU; when there are so many, every second one takes the time of both, and from then on fewer are kept. */
const SAMPLES_MAX = 200_000;
/** Places told apart; all others of an activity are one. A guest may run code at any number of addresses. */
const PLACES_MAX = 100_000;

interface Track {
  readonly places: number[];
  readonly weightsNs: number[];
  /** Samples that are put together to one, and those that wait for it. */
  stride: number;
  waiting: number;
  waitingNs: number;
}

/** Collects samples of what vCPUs do. Memory is bounded; the totals of places stay exact. */
export class Sampler {
  readonly #vcpus: readonly Sampled[];
  readonly #tracks: readonly Track[];
  readonly #samplesMax: number;
  readonly #placesMax: number;
  readonly #places: SampledPlace[] = [];
  readonly #indices = new Map<string, number>();
  readonly #startNs: number;
  #lastNs: number;
  #count = 0;

  constructor(vcpus: readonly Sampled[], nowNs: number, limits = { samplesMax: SAMPLES_MAX, placesMax: PLACES_MAX }) {
    this.#vcpus = vcpus;
    this.#samplesMax = limits.samplesMax;
    this.#placesMax = limits.placesMax;
    this.#tracks = vcpus.map(() => ({ places: [], weightsNs: [], stride: 1, waiting: 0, waitingNs: 0 }));
    this.#startNs = this.#lastNs = nowNs;
  }

  /** Looks at all vCPUs: what they do now stands for the time since the last look. */
  sample(nowNs: number): void {
    const ns = nowNs - this.#lastNs;
    this.#lastNs = nowNs;
    this.#count++;
    this.#vcpus.forEach((vcpu, index) => {
      vcpu.look();
      const place = this.#placeOf(vcpu);
      this.#places[place]!.ns += ns;
      this.#keep(this.#tracks[index]!, place, ns);
    });
  }

  #placeOf({ activity, blockHigh, blockLow, pageTables }: Sampled): number {
    const isKernel = blockHigh < 0;
    const place = { activity, high: blockHigh, low: blockLow, pageTables: isKernel ? 0 : pageTables, ns: 0 };
    return this.#indexOf(this.#places.length < this.#placesMax ? place : { ...place, high: 0, low: 0, pageTables: 0 });
  }

  #indexOf(place: SampledPlace): number {
    const key = `${place.activity} ${place.high} ${place.low} ${place.pageTables}`;
    const known = this.#indices.get(key);
    if (known !== undefined) return known;
    const index = this.#places.push(place) - 1;
    this.#indices.set(key, index);
    return index;
  }

  #keep(track: Track, place: number, ns: number): void {
    track.waitingNs += ns;
    if (++track.waiting < track.stride) return;
    track.places.push(place);
    track.weightsNs.push(track.waitingNs);
    track.waiting = track.waitingNs = 0;
    if (track.places.length < this.#samplesMax) return;
    const half = track.places.length >> 1;
    for (let index = 0; index < half; index++) {
      track.places[index] = track.places[index * 2 + (index & 1)]!;
      track.weightsNs[index] = track.weightsNs[index * 2]! + track.weightsNs[index * 2 + 1]!;
    }
    track.places.length = track.weightsNs.length = half;
    track.stride *= 2;
  }

  result(): SamplerResult {
    return { durationNs: this.#lastNs - this.#startNs, sampleCount: this.#count, places: this.#places, vcpus: this.#tracks.map(({ places, weightsNs }) => ({ places, weightsNs })) };
  }
}
