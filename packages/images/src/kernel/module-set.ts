import { decompress } from '../debian/decompress.ts';
import type { TreeEntry } from '../debian/deb-file.ts';
import { ImageError } from '../image-error.ts';
import type { ModuleInfo } from './module-info.ts';
import { moduleName, readModuleInfo } from './module-info.ts';

/** A module of a kernel package, uncompressed. */
export interface KernelModule extends ModuleInfo {
  /** As in the package but without a compression's extension. */
  readonly path: string;
  readonly content: Uint8Array;
}

/**
 * The modules of one kernel package. Its `modules.dep` is made when the package is installed, so dependencies come
 * from the modules themselves.
 */
export class ModuleSet {
  readonly #files = new Map<string, TreeEntry>();
  readonly #builtin: ReadonlySet<string>;

  /** `entries` is the package's tree; `builtin` the content of `modules.builtin`. */
  constructor(entries: readonly TreeEntry[], builtin: string) {
    for (const entry of entries) {
      if (entry.type === 'file' && /\.ko(\.(xz|gz|zst))?$/.test(entry.path)) this.#files.set(moduleName(entry.path), entry);
    }
    this.#builtin = new Set(builtin.split('\n').filter(Boolean).map(moduleName));
  }

  /** `names` and what they need, each after its dependencies; what is built into the kernel is left out. */
  async inLoadOrder(names: readonly string[]): Promise<KernelModule[]> {
    const loaded = new Map<string, KernelModule>();
    const visit = async (name: string, path: readonly string[]): Promise<void> => {
      if (loaded.has(name) || this.#builtin.has(name)) return;
      if (path.includes(name)) throw new ImageError(`kernel modules depend on each other in a circle: ${[...path, name].join(' → ')}`);
      const module = await this.#read(name, path.at(-1));
      for (const dependency of module.depends) await visit(dependency, [...path, name]);
      loaded.set(name, module);
    };
    for (const name of names) await visit(moduleName(name), []);
    return [...loaded.values()];
  }

  async #read(name: string, neededBy: string | undefined): Promise<KernelModule> {
    const entry = this.#files.get(name);
    if (!entry) throw new ImageError(`the kernel package has no module ${name}${neededBy ? `, which ${neededBy} needs` : ''}: choose another kernel`);
    const content = await decompress(entry.path, entry.content);
    return { ...readModuleInfo(content, entry.path), path: entry.path.replace(/\.(xz|gz|zst)$/, ''), content };
  }
}

/** `modules.dep` and `modules.alias` for `modprobe` (modules.dep(5)); paths are relative to the kernel's directory. */
export function moduleIndexes(modules: readonly KernelModule[], relative: (path: string) => string): { dep: string; alias: string } {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const closure = (module: KernelModule): KernelModule[] =>
    module.depends.flatMap((name) => {
      const dependency = byName.get(name);
      return dependency ? [dependency, ...closure(dependency)] : [];
    });
  const dep = modules.map((module) => `${relative(module.path)}:${[...new Set(closure(module))].map((other) => ` ${relative(other.path)}`).join('')}\n`);
  const alias = modules.flatMap((module) => module.aliases.map((pattern) => `alias ${pattern} ${module.name}\n`));
  return { dep: dep.join(''), alias: alias.join('') };
}
