import { createHash } from 'node:crypto';
import type { TreeEntry } from '../debian/deb-file.ts';
import { ImageError } from '../image-error.ts';

/** One file of dpkg's database. */
export interface DatabaseFile {
  /** Below `/var/lib/dpkg`. */
  readonly path: string;
  readonly content: string | Uint8Array;
  readonly isScript?: boolean;
}

const SCRIPTS = new Set(['preinst', 'postinst', 'prerm', 'postrm', 'config']);

/** A package as dpkg knows it when it has been unpacked (deb-control(5), deb-conffiles(5), deb-triggers(5)). */
export class UnpackedPackage {
  readonly name: string;
  readonly architecture: string;
  readonly hasPreinst: boolean;
  readonly #control: ReadonlyMap<string, Uint8Array>;
  readonly #entries: readonly TreeEntry[];
  readonly #stanza: string;
  readonly #sums: ReadonlyMap<string, string>;

  constructor(control: ReadonlyMap<string, Uint8Array>, entries: readonly TreeEntry[], label: string) {
    this.#control = control;
    this.#entries = entries;
    this.#stanza = this.#text('control').trimEnd();
    this.name = this.#field('Package');
    this.architecture = this.#field('Architecture');
    this.hasPreinst = control.has('preinst');
    if (this.name === '' || this.#field('Version') === '') throw new ImageError(`${label} has no name or version in its control file: get it from a Debian mirror`);
    this.#sums = sumsOf(entries);
  }

  /** The name under which dpkg keeps its files; packages that can be there for several architectures carry theirs. */
  get id(): string {
    return this.#field('Multi-Arch') === 'same' ? `${this.name}:${this.architecture}` : this.name;
  }

  /** Its stanza of `/var/lib/dpkg/status`. The unpacked configuration files are in place, so their sums are known. */
  status(): string {
    const [first, ...rest] = this.#stanza.split('\n').filter(Boolean);
    const conffiles = this.#conffiles().map((path) => `\n ${path} ${this.#sums.get(path.slice(1)) ?? 'newconffile'}`);
    return [first, 'Status: install ok unpacked', ...rest, ...(conffiles.length > 0 ? [`Conffiles:${conffiles.join('')}`] : [])].join('\n');
  }

  /** Its files below `/var/lib/dpkg/info`. */
  infoFiles(): DatabaseFile[] {
    const file = (kind: string, content: string | Uint8Array): DatabaseFile => ({ path: `info/${this.id}.${kind}`, content, isScript: SCRIPTS.has(kind) });
    const own = [...this.#control].filter(([name]) => name !== 'control' && /^\w+$/.test(name)).map(([name, content]) => file(name, content));
    const list = file('list', this.#entries.map(({ path }) => `${path === '' ? '/.' : `/${path}`}\n`).join(''));
    return [...own, list, ...(this.#control.has('md5sums') ? [] : [file('md5sums', this.#md5sums())])];
  }

  /** Triggers it waits for: a path, or a name; `noawait` when nobody waits for it. */
  interests(): { trigger: string; noawait: boolean }[] {
    const lines = this.#text('triggers').split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/));
    return lines.filter(([kind]) => kind?.startsWith('interest')).map(([kind, trigger]) => ({ trigger: trigger!, noawait: kind!.endsWith('-noawait') }));
  }

  #conffiles(): string[] {
    // A line with a flag, such as remove-on-upgrade, is about a file that the package does not have.
    return this.#text('conffiles').split('\n').map((line) => line.trim()).filter((line) => line.startsWith('/'));
  }

  #md5sums(): string {
    const conffiles = new Set(this.#conffiles());
    return [...this.#sums].filter(([path]) => !conffiles.has(`/${path}`)).map(([path, sum]) => `${sum}  ${path}\n`).join('');
  }

  #text(name: string): string {
    return Buffer.from(this.#control.get(name) ?? []).toString('utf8');
  }

  #field(key: string): string {
    return new RegExp(`^${key}:[ \\t]*(.*)$`, 'm').exec(this.#stanza)?.[1]?.trim() ?? '';
  }
}

function sumsOf(entries: readonly TreeEntry[]): Map<string, string> {
  const sums = new Map<string, string>();
  for (const { path, type, content, linkTarget } of entries) {
    if (type === 'file') sums.set(path, createHash('md5').update(content).digest('hex'));
    else if (type === 'link' && sums.has(linkTarget)) sums.set(path, sums.get(linkTarget)!);
  }
  return sums;
}

/** Everything below `/var/lib/dpkg` of a system whose packages are unpacked and wait to be configured. */
export function dpkgDatabase(packages: readonly UnpackedPackage[]): DatabaseFile[] {
  const named = new Map<string, string[]>();
  const paths: string[] = [];
  for (const found of packages) {
    for (const { trigger, noawait } of found.interests()) {
      const interested = `${found.id}${noawait ? '/noawait' : ''}`;
      if (trigger.startsWith('/')) paths.push(`${trigger} ${interested}\n`);
      else named.set(trigger, [...(named.get(trigger) ?? []), `${interested}\n`]);
    }
  }
  return [
    ...packages.flatMap((found) => found.infoFiles()),
    { path: 'info/format', content: '1\n' },
    { path: 'status', content: packages.map((found) => `${found.status()}\n\n`).join('') },
    { path: 'triggers/File', content: paths.join('') },
    ...[...named].map(([trigger, lines]) => ({ path: `triggers/${trigger}`, content: lines.join('') })),
    ...['available', 'diversions', 'statoverride', 'triggers/Unincorp'].map((path) => ({ path, content: '' })),
  ];
}

/** apt's `/var/lib/apt/extended_states`: which packages are there only because others need them. */
export function aptExtendedStates(packages: readonly UnpackedPackage[], chosen: ReadonlySet<string>): string {
  const automatic = packages.filter(({ name }) => !chosen.has(name));
  // apt keeps packages for all architectures under the native one.
  return automatic.map(({ name }) => `Package: ${name}\nArchitecture: amd64\nAuto-Installed: 1\n\n`).join('');
}
