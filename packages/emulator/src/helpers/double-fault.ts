import { Vector } from '@hanok/x86';
import { GuestFault, type SystemContext } from '../helper.ts';
import { deliver, type Event } from './interrupts.ts';

/** Exceptions that make another one in their delivery a double fault (SDM vol. 3A table 6-5). */
const CONTRIBUTORY = new Set<number>([Vector.DE, Vector.TS, Vector.NP, Vector.SS, Vector.GP]);

/**
 * How often in a row a delivery may fail with an exception that does not double. A processor goes on for ever with an
 * #AC handler whose stack is itself misaligned; here that ends as a triple fault does.
 */
const FAILURES_MAX = 16;

/** Delivers an event, folding faults of the delivery into double faults; false for a triple fault. */
export function deliverOrDouble(context: SystemContext, first: Event): boolean {
  let event = first;
  for (let failures = 0; failures < FAILURES_MAX; failures++) {
    try {
      deliver(context, event);
      return true;
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      if (event.vector === Vector.DF && isException(event)) return false;
      event = afterFailure(context, event, error);
    }
  }
  return false;
}

/** Interrupts and INT n may have any vector; only exceptions combine. */
const isException = (event: Event) => !event.software && event.isException !== false;

/** What is delivered after an event whose delivery faulted. */
function afterFailure(context: SystemContext, event: Event, error: GuestFault): Event {
  const second = CONTRIBUTORY.has(error.vector);
  const isDouble = isException(event) && ((CONTRIBUTORY.has(event.vector) && second) || (event.vector === Vector.PF && (second || error.vector === Vector.PF)));
  const rip = error.rip ?? (event.software ? context.rip : event.rip);
  if (isDouble) return { vector: Vector.DF, errorCode: 0, software: false, rip };
  return { vector: error.vector, errorCode: error.errorCode, software: false, fault: true, rip };
}
