import { ENTER } from '../layout.ts';
import type { CompileRequest } from './region-compiler.ts';

/** Countdown of an Enter slot whose region was asked for: it goes on counting, so that it tells how often the block ran since. */
export const ASKED = 0x7fffffff;
/** Counts below this begin anew: the region is not wanted any more. */
const ASKED_MIN = 0x40000000;

/** Whether a region that is there already is to be made larger. */
export const isGrown = ({ code }: CompileRequest): boolean => code.isGrown;

/** What is to be compiled next, and the ids of requests that nobody waits for any more. */
export interface TakenRequests {
  readonly requests: CompileRequest[];
  readonly unwanted: number[];
}

/** Requests that wait to be compiled: those come first whose blocks the interpreter has run most since; one by one at last those for what is compiled already. */
export class RequestQueue {
  readonly #words: Int32Array;
  #waiting: CompileRequest[] = [];

  /** `memory` is the machine's, with the slots. */
  constructor(memory: ArrayBufferLike) {
    this.#words = new Int32Array(memory);
  }

  add(request: CompileRequest): void {
    this.#waiting.push(request);
  }

  take(countMax: number): TakenRequests {
    const countdown = ({ slot }: CompileRequest) => this.#words[(slot + ENTER.countdown) >> 2]!;
    const unwanted = this.#waiting.filter((request) => countdown(request) < ASKED_MIN).map(({ id }) => id);
    const wanted = this.#waiting.filter((request) => countdown(request) >= ASKED_MIN);
    const grown = wanted.filter(isGrown);
    const hottest = wanted.filter((request) => !isGrown(request)).map((request) => ({ request, left: countdown(request) })).toSorted((a, b) => a.left - b.left);
    const requests = hottest.length > 0 ? hottest.slice(0, countMax).map(({ request }) => request) : grown.splice(0, 1);
    this.#waiting = [...hottest.slice(countMax).map(({ request }) => request), ...grown];
    return { requests, unwanted };
  }
}
