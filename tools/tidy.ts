import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who may import whom, as ARCHITECTURE.md says. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  wasm: [],
  x86: [],
  machine: [],
  emulator: ['x86', 'wasm', 'machine'],
  devices: ['machine'],
  boot: ['machine'],
  images: ['boot', 'machine'],
  vmm: ['emulator', 'devices', 'boot', 'machine'],
  cli: ['vmm', 'images', 'machine'],
};
const PORTABLE = new Set(['wasm', 'x86', 'machine', 'emulator', 'devices', 'boot']);
const LINES_MAX = 400;
/** Files over the limit; the list may only shrink. Tables may be longer. */
const LONG_FILES = new Set(['packages/devices/src/platform/local-apic.ts']);
const EXPORT = /^export (?:async )?(?:function|const|class) (\w+)/gm;
const IMPORT = /(?:from|import)\s*\(?'([^']+)'/g;

/** The project's own rules. Each complaint names the file and the mend. */
export function checkSources(root: string): string[] {
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' }).split('\n').filter((file) => file && existsSync(join(root, file)));
  const sources = files.filter((file) => file.endsWith('.ts'));
  const texts = new Map(sources.map((file) => [file, readFileSync(join(root, file), 'utf8')]));
  return [
    ...sources.flatMap((file) => checkSource(file, texts.get(file)!)),
    ...checkExports(texts),
    ...files.filter((file) => file.endsWith('.md')).flatMap((file) => checkPaths(root, file)),
  ];
}

function checkSource(file: string, text: string): string[] {
  const complaints: string[] = [];
  const isTest = file.includes('.test.') || file.startsWith('tests/') || file.includes('/testing');
  const lines = text.split('\n').length;
  if (lines > LINES_MAX && !isTest && !LONG_FILES.has(file)) complaints.push(`${file}: ${lines} lines; split it by meaning below ${LINES_MAX}`);
  if (/\b(TODO|FIXME|XXX)\b/.test(text) && file !== 'tools/tidy.ts') complaints.push(`${file}: says that something is unfinished; finish it, or open an issue and drop the note`);
  const owner = /^packages\/([^/]+)\/src\//.exec(file)?.[1];
  if (owner && !isTest) for (const [, target] of text.matchAll(IMPORT)) complaints.push(...checkImport(file, owner, target!));
  return complaints;
}

/** A value that is exported is named in some other file. */
function checkExports(texts: ReadonlyMap<string, string>): string[] {
  const filesByWord = new Map<string, number>();
  for (const text of texts.values()) for (const word of new Set(text.match(/\w+/g))) filesByWord.set(word, (filesByWord.get(word) ?? 0) + 1);
  return [...texts].flatMap(([file, text]) =>
    [...text.matchAll(EXPORT)].map(([, name]) => name!).filter((name) => filesByWord.get(name) === 1).map((name) => `${file}: nothing else names ${name}; drop its "export", or drop it`),
  );
}

function checkImport(file: string, owner: string, target: string): string[] {
  if (target.startsWith('node:')) return PORTABLE.has(owner) ? [`${file}: imports ${target}; ${owner} runs in a browser too, so pass what it needs in`] : [];
  const other = /^@hanok\/([^/]+)/.exec(target)?.[1];
  if (!other || other === owner || MAY_IMPORT[owner]?.includes(other)) return [];
  return [`${file}: ${owner} may not import ${target}; see the import table in ARCHITECTURE.md`];
}

/** Paths of this project that a document names in backticks must exist. */
function checkPaths(root: string, file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const paths = [...text.matchAll(/`((?:packages|tests|tools|bench|docs|bin)\/[\w./-]*)`/g)].map(([, path]) => path!);
  return paths.filter((path) => !existsSync(join(root, path))).map((path) => `${file}: names ${path}, which does not exist; name the file that replaced it`);
}
