import { ImageError } from '../image-error.ts';
import type { DebianPackage, PackagesIndex } from './packages-index.ts';
import type { Relation } from './relation.ts';
import { formatRelation, satisfies } from './relation.ts';

/** Says which of `candidates` may have been meant with `word`, such as " (did you mean gcc?)"; or nothing. */
export type Suggest = (word: string, candidates: readonly string[]) => string;

/**
 * The packages `names` and everything they depend on, dependencies first where there is no cycle. Of alternatives, one
 * that is chosen already is taken, else the first that the suite has and that conflicts with nothing chosen; for a
 * virtual package, a provider likewise. Nothing is ever taken back: a suite that is consistent needs no search.
 */
export function resolveClosure(index: PackagesIndex, names: readonly string[], suggest: Suggest = () => ''): DebianPackage[] {
  const closure = new Closure(index, suggest);
  for (const name of names) closure.want(name);
  for (const name of names) closure.complete(name);
  closure.checkConflicts();
  return closure.ordered;
}

/** Names that conflict are looked up by the name that is not allowed. */
interface Ban {
  readonly relation: Relation;
  readonly by: DebianPackage;
}

class Closure {
  readonly ordered: DebianPackage[] = [];
  readonly #index: PackagesIndex;
  readonly #suggest: Suggest;
  readonly #chosen = new Map<string, DebianPackage>();
  /** Chosen packages by the virtual packages they provide. */
  readonly #providers = new Map<string, DebianPackage[]>();
  readonly #bans = new Map<string, Ban[]>();
  readonly #visited = new Set<string>();

  constructor(index: PackagesIndex, suggest: Suggest) {
    this.#index = index;
    this.#suggest = suggest;
  }

  want(name: string): void {
    const found = this.#index.find(name);
    if (!found) throw new ImageError(`Debian has no package ${name} in this suite${this.#suggest(name, [...this.#index.names])}: check the name and the suite`);
    this.#choose(found);
  }

  /** Puts the package behind everything that it depends on. */
  complete(name: string): void {
    // An explicit stack: the depth is the index's, which is not ours to trust.
    const stack: { package: DebianPackage; next: number }[] = [];
    const visit = (found: DebianPackage): void => {
      if (this.#visited.has(found.name)) return;
      this.#visited.add(found.name);
      stack.push({ package: found, next: 0 });
    };
    visit(this.#chosen.get(name)!);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const alternatives = top.package.depends[top.next++];
      if (alternatives) visit(this.#pick(top.package, alternatives));
      else this.ordered.push(stack.pop()!.package);
    }
  }

  checkConflicts(): void {
    for (const found of this.ordered) {
      const ban = this.#banOf(found);
      if (ban) throw new ImageError(`${ban.by.name} conflicts with ${found.name} ${found.version}: leave one of them out`);
    }
  }

  #choose(found: DebianPackage): DebianPackage {
    if (this.#chosen.has(found.name)) return found;
    this.#chosen.set(found.name, found);
    for (const { name } of found.provides) append(this.#providers, name, found);
    for (const relation of found.conflicts) append(this.#bans, relation.name, { relation, by: found });
    return found;
  }

  #pick(needing: DebianPackage, alternatives: readonly Relation[]): DebianPackage {
    for (const relation of alternatives) {
      const real = this.#chosen.get(relation.name);
      if (real && satisfies(relation, real.version)) return real;
      const provider = this.#providers.get(relation.name)?.find((found) => provides(found, relation));
      if (provider) return provider;
    }
    for (const relation of alternatives) {
      const candidate = this.#candidates(relation).find((found) => !this.#conflicts(found));
      if (candidate) return this.#choose(candidate);
    }
    throw new ImageError(`${needing.name} depends on ${alternatives.map(formatRelation).join(' | ')}, which this suite does not have`);
  }

  /** The package of that name, or, where there is none, those that provide it. */
  #candidates(relation: Relation): DebianPackage[] {
    const real = this.#index.find(relation.name);
    if (real && satisfies(relation, real.version)) return [real];
    const providers = this.#index.providersOf(relation.name).map((name) => this.#index.find(name)!);
    return providers.filter((found) => provides(found, relation));
  }

  #conflicts(candidate: DebianPackage): boolean {
    const isAgainst = (relation: Relation): boolean => {
      const real = this.#chosen.get(relation.name);
      if (real && real.name !== candidate.name && satisfies(relation, real.version)) return true;
      return this.#providers.get(relation.name)?.some((found) => found.name !== candidate.name && provides(found, relation)) ?? false;
    };
    return this.#banOf(candidate) !== undefined || candidate.conflicts.some(isAgainst);
  }

  /** What a chosen package has against this one; a package never conflicts with itself (Debian Policy §7.4). */
  #banOf(candidate: DebianPackage): Ban | undefined {
    const names = [{ name: candidate.name, version: candidate.version }, ...candidate.provides];
    for (const { name, version } of names) {
      const ban = this.#bans.get(name)?.find(({ relation, by }) => by.name !== candidate.name && satisfies(relation, version));
      if (ban) return ban;
    }
    return undefined;
  }
}

function provides(found: DebianPackage, relation: Relation): boolean {
  return found.provides.some(({ name, version }) => name === relation.name && satisfies(relation, version));
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
