import { type CodePlace, offsetOf } from './call-contexts.ts';
import type { RegionBlock } from './region-blocks.ts';

/** Where control goes from a block: another block, or out of the region to an offset of the page. */
export type Edge = { readonly block: StructuredBlock } | { readonly exit: number };

/** A block with its place among the others. */
export interface StructuredBlock {
  readonly code: RegionBlock;
  /** Place in a reverse postorder from the entry. */
  order: number;
  next: Edge | undefined;
  target: Edge | undefined;
  /** Where the return at its end is looked for; what is not found leaves the region. */
  returns: StructuredBlock[];
  predecessors: StructuredBlock[];
  dominator: StructuredBlock | undefined;
  /** Blocks it dominates directly, in reverse postorder. */
  children: StructuredBlock[];
  isLoopHeader: boolean;
  /** More than one forward edge leads here. */
  isMerge: boolean;
}

/**
 * Orders blocks and finds dominators, so that control flow can be written with loops and blocks alone (Ramsey, "Beyond
 * Relooper", ICFP 2022). An edge that makes the graph irreducible becomes an exit: the region is entered again there.
 */
export function structure(blocks: readonly RegionBlock[]): StructuredBlock[] {
  const byStart = new Map(blocks.map((code) => [code.start, makeBlock(code)]));
  const edgeTo = (place: CodePlace | undefined): Edge | undefined => {
    if (place === undefined) return undefined;
    const block = byStart.get(place);
    return block ? { block } : { exit: offsetOf(place) };
  };
  for (const block of byStart.values()) {
    block.next = edgeTo(block.code.next);
    block.target = edgeTo(block.code.target);
    block.returns = block.code.returns.flatMap((site) => byStart.get(site) ?? []);
  }
  const entry = byStart.get(blocks[0]!.start)!;
  for (;;) {
    const ordered = reversePostorder(entry);
    findDominators(ordered);
    if (!cutIrreducible(ordered)) return finish(ordered);
  }
}

const makeBlock = (code: RegionBlock): StructuredBlock => ({
  code, order: -1, next: undefined, target: undefined, returns: [], predecessors: [], dominator: undefined, children: [], isLoopHeader: false, isMerge: false,
});

function successors(block: StructuredBlock): StructuredBlock[] {
  return [block.next, block.target].flatMap((edge) => (edge && 'block' in edge ? [edge.block] : [])).concat(block.returns);
}

function reversePostorder(entry: StructuredBlock): StructuredBlock[] {
  const seen = new Set<StructuredBlock>([entry]);
  const postorder: StructuredBlock[] = [];
  const stack = [{ block: entry, rest: successors(entry) }];
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const next = top.rest.pop();
    if (!next) {
      postorder.push(top.block);
      stack.pop();
    } else if (!seen.has(next)) {
      seen.add(next);
      stack.push({ block: next, rest: successors(next) });
    }
  }
  const ordered = postorder.reverse();
  ordered.forEach((block, order) => Object.assign(block, { order, predecessors: [], dominator: undefined }));
  for (const block of ordered) for (const successor of successors(block)) successor.predecessors.push(block);
  return ordered;
}

/** Cooper, Harvey and Kennedy's iteration. */
function findDominators(ordered: readonly StructuredBlock[]): void {
  const entry = ordered[0]!;
  entry.dominator = entry;
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of ordered.slice(1)) {
      const known = block.predecessors.filter(({ dominator }) => dominator);
      const dominator = known.reduce((a, b) => meet(a, b));
      if (block.dominator !== dominator) {
        block.dominator = dominator;
        changed = true;
      }
    }
  }
}

function meet(first: StructuredBlock, second: StructuredBlock): StructuredBlock {
  let [a, b] = [first, second];
  while (a !== b) {
    while (a.order > b.order) a = a.dominator!;
    while (b.order > a.order) b = b.dominator!;
  }
  return a;
}

function dominates(a: StructuredBlock, b: StructuredBlock): boolean {
  let at = b;
  while (at.order > a.order) at = at.dominator!;
  return at === a;
}

/** Turns edges back into a loop that has another way in into exits; true when there was one. */
function cutIrreducible(ordered: readonly StructuredBlock[]): boolean {
  let cut = false;
  for (const block of ordered) {
    for (const name of ['next', 'target'] as const) {
      const edge = block[name];
      if (edge && 'block' in edge && edge.block.order <= block.order && !dominates(edge.block, block)) {
        block[name] = { exit: offsetOf(edge.block.code.start) };
        cut = true;
      }
    }
    const kept = block.returns.filter((site) => site.order > block.order || dominates(site, block));
    if (kept.length < block.returns.length) cut = true;
    block.returns = kept;
  }
  return cut;
}

function finish(ordered: StructuredBlock[]): StructuredBlock[] {
  for (const block of ordered) {
    if (block.dominator !== block) block.dominator!.children.push(block);
    const forward = block.predecessors.filter(({ order }) => order < block.order);
    block.isLoopHeader = forward.length < block.predecessors.length;
    block.isMerge = forward.length > 1;
  }
  return ordered;
}
