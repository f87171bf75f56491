/**
 * A place in a region: an instruction's offset from the page of the region's entry, apart for each call that it was reached
 * through, since code that several calls share would otherwise return to all of them.
 */
export type CodePlace = number;

/** Offsets lie within 2 GiB to both sides. */
const CONTEXT_SPAN = 2 ** 33;

/** The offset at a place. */
export const offsetOf = (place: CodePlace): number => place - contextOf(place) * CONTEXT_SPAN;
/** The place of an offset that is reached without a call or a return from another place. */
export const placeBeside = (place: CodePlace, offset: number): CodePlace => contextOf(place) * CONTEXT_SPAN + offset;

const contextOf = (place: CodePlace) => Math.round(place / CONTEXT_SPAN);

/** A function as it was called from one place. */
interface CallContext {
  /** Where it begins, as an offset, if that is known. */
  readonly entry: number | undefined;
  /** The one it was called from. */
  readonly caller: CallContext | undefined;
  readonly number: number;
  /** Behind the calls that lead here: its own, and those by which it calls itself; or where it was seen to return to. */
  readonly returns: CodePlace[];
  /** A return of it was reached. */
  returned: boolean;
}

/** The calls of a region. */
export class CallContexts {
  readonly #contexts: CallContext[] = [];

  constructor(entry: number) {
    this.#enter(undefined, entry);
  }

  /** Where a call leads that goes on at `next`: into a copy of the function of its own, or back to the top of one that is under way; and where control may come back already. */
  call(next: CodePlace, target: number): { readonly to: CodePlace; readonly reached: readonly CodePlace[] } {
    const context = this.#under(next, target) ?? this.#enter(this.#contexts[contextOf(next)], target);
    context.returns.push(next);
    return { to: placeIn(context, target), reached: context.returned ? [next] : [] };
  }

  #under(place: CodePlace, entry: number): CallContext | undefined {
    let context: CallContext | undefined = this.#contexts[contextOf(place)]!;
    while (context && context.entry !== entry) context = context.caller;
    return context;
  }

  /** Where returns at a place lead, as far as the region's own calls tell. */
  returns(place: CodePlace): readonly CodePlace[] {
    const context = this.#contexts[contextOf(place)]!;
    context.returned = true;
    return context.returns;
  }

  /** Nothing is known of where the function at a place was called from. */
  isOutermost(place: CodePlace): boolean {
    return this.#contexts[contextOf(place)]!.caller === undefined;
  }

  /** A return at a place leads to an offset of a function that nothing else is known of. */
  returnTo(place: CodePlace, offset: number): void {
    const { returns } = this.#contexts[contextOf(place)]!;
    if (!returns.some((known) => offsetOf(known) === offset)) returns.push(placeIn(this.#enter(undefined, undefined), offset));
  }

  #enter(caller: CallContext | undefined, entry: number | undefined): CallContext {
    const context = { entry, caller, number: this.#contexts.length, returns: [], returned: false };
    this.#contexts.push(context);
    return context;
  }
}

const placeIn = ({ number }: CallContext, offset: number): CodePlace => number * CONTEXT_SPAN + offset;
