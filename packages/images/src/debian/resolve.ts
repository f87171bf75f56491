import { ImageError } from '../image-error.ts';
import type { DebianPackage, PackagesIndex } from './packages-index.ts';

/**
 * The packages `names` and everything they depend on, dependencies first where there is no cycle. Of alternatives the
 * first that exists is taken, unless another is already chosen; for a virtual package, the first provider.
 */
export function resolveClosure(index: PackagesIndex, names: readonly string[]): DebianPackage[] {
  const chosen = new Map<string, DebianPackage>();
  const ordered: DebianPackage[] = [];
  // An explicit stack: the depth is the index's, which is not ours to trust.
  const stack: { package: DebianPackage; next: number }[] = [];
  const choose = (name: string): void => {
    const found = index.find(name)!;
    chosen.set(name, found);
    stack.push({ package: found, next: 0 });
  };
  for (const name of names) {
    if (!index.find(name)) throw new ImageError(`Debian has no package ${name} in this suite: check the name and the suite`);
    if (!chosen.has(name)) choose(name);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const alternatives = top.package.depends[top.next++];
      if (alternatives) {
        const picked = pick(index, alternatives, chosen);
        if (picked === undefined) throw new ImageError(`${top.package.name} depends on ${alternatives.join(' | ')}, which this suite does not have`);
        if (!chosen.has(picked)) choose(picked);
      } else {
        ordered.push(top.package);
        stack.pop();
      }
    }
  }
  return ordered;
}

function pick(index: PackagesIndex, alternatives: readonly string[], chosen: ReadonlyMap<string, DebianPackage>): string | undefined {
  const already = alternatives.find((name) => chosen.has(name));
  if (already !== undefined) return already;
  const real = alternatives.find((name) => index.find(name) !== undefined);
  if (real !== undefined) return real;
  for (const name of alternatives) {
    const providers = index.providersOf(name);
    const picked = providers.find((provider) => chosen.has(provider)) ?? providers[0];
    if (picked !== undefined) return picked;
  }
  return undefined;
}
