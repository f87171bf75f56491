import { type Decoded, immediateBytesOf, RIP_BASE } from '@hanok/x86';
import { alwaysRaises } from './always-raised.ts';
import { endsRegion } from './jit/traits.ts';
import { BLOCK_TAG, SHAPE_TRAIT } from './layout.ts';

const RAISING = [BLOCK_TAG.sseUndefined, BLOCK_TAG.sseAbsent, BLOCK_TAG.x87Absent];

/** The SHAPE_TRAIT bits of all instructions of a shape. */
export function shapeTraits(d: Decoded): number {
  let traits = d.displacementBytes | (immediateBytesOf(d) << 4);
  if (d.isMemory) traits |= SHAPE_TRAIT.memory;
  if (d.isMemory && d.base === RIP_BASE) traits |= SHAPE_TRAIT.nearCode;
  if (d.row.options.ends) traits |= SHAPE_TRAIT.ends;
  else if (endsRegion(d)) traits |= SHAPE_TRAIT.last;
  for (const tag of RAISING) if (alwaysRaises(d.row, tag) !== undefined) traits |= tag << SHAPE_TRAIT.raisesShift;
  return traits;
}
