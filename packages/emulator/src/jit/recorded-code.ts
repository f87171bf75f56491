import type { Decoder } from '@hanok/x86';
import { type CodeSource, followControlFlow } from './control-flow.ts';

/** The code of a region as its vCPU saw it, so that it can be followed again by who cannot see the vCPU; plain data. */
export interface RecordedCode {
  readonly entry: number;
  readonly instructionsMax: number;
  /** Pages by their numbers relative to the entry's, and where each starts in RAM. */
  readonly pages: ReadonlyMap<number, number>;
  /** Targets of branches that have run, and their Enter slots or 0. */
  readonly slots: ReadonlyMap<number, number>;
  /** Those of them that have regions. */
  readonly regions: ReadonlySet<number>;
  /** Likely targets of indirect jumps and calls, by their offsets. */
  readonly jumpTargets: ReadonlyMap<number, readonly number[]>;
  /** How often code runs that was looked at, where that is not 1 (`weightOf`). */
  readonly weights: ReadonlyMap<number, number>;
  /** Whether accesses to memory are grouped (`groupAccesses`). */
  readonly isGrouped: boolean;
  /** It is larger than others, and follows branches to blocks that have regions of their own. */
  readonly isGrown: boolean;
  /** What `works` depends on: a BLOCK_TAG. */
  readonly blockTag: number;
}

/** What else is noted. */
export interface RecordOptions extends Partial<Pick<RecordedCode, 'isGrouped' | 'isGrown'>>, Pick<RecordedCode, 'blockTag'> {}

/** Follows code from `entry` and notes what its source says; undefined where the first instruction cannot be compiled. */
export function recordCode(source: CodeSource, entry: number, instructionsMax: number, { blockTag, isGrouped = true, isGrown = false }: RecordOptions): RecordedCode | undefined {
  const slots = new Map<number, number>();
  const regions = new Set<number>();
  const jumpTargets = new Map<number, readonly number[]>();
  const weights = new Map<number, number>();
  const noting: CodeSource = {
    ram: source.ram,
    decoder: source.decoder,
    pageStart: (page) => source.pageStart(page),
    slotOf(offset) {
      const slot = source.slotOf(offset);
      if (slot !== undefined) slots.set(offset, slot);
      return slot;
    },
    hasRegion(offset) {
      const has = source.hasRegion(offset);
      if (has) regions.add(offset);
      return has;
    },
    jumpTargets(offset, decoded) {
      const targets = source.jumpTargets(offset, decoded);
      jumpTargets.set(offset, targets);
      return targets;
    },
    weightOf(offset) {
      const weight = source.weightOf(offset);
      if (weight !== 1) weights.set(offset, weight);
      return weight;
    },
    works: (row) => source.works(row),
  };
  const { reached, pages } = followControlFlow(noting, entry, instructionsMax);
  return reached.get(entry) ? { entry, instructionsMax, pages, slots, regions, jumpTargets, weights, isGrouped, isGrown, blockTag } : undefined;
}

/** A source that says what was noted. Code that has changed since gives other answers: what comes of it must be thrown away. */
export function recordedSource({ pages, slots, regions, jumpTargets, weights, blockTag }: RecordedCode, ram: Uint8Array, decoder: Decoder, works: (blockTag: number, row: Parameters<CodeSource['works']>[0]) => boolean): CodeSource {
  return {
    ram,
    decoder,
    pageStart: (page) => pages.get(page) ?? -1,
    slotOf: (offset) => slots.get(offset),
    hasRegion: (offset) => regions.has(offset),
    jumpTargets: (offset) => jumpTargets.get(offset) ?? [],
    weightOf: (offset) => weights.get(offset) ?? 1,
    works: (row) => works(blockTag, row),
  };
}
