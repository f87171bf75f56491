import { compareVersions } from './version.ts';

const OPERATORS = {
  '<<': (order: number) => order < 0,
  '<=': (order: number) => order <= 0,
  '=': (order: number) => order === 0,
  '>=': (order: number) => order >= 0,
  '>>': (order: number) => order > 0,
} as const;

/** A package by name and, where given, by version (Debian Policy §7.1). */
export interface Relation {
  readonly name: string;
  readonly operator?: keyof typeof OPERATORS;
  readonly version?: string;
}

const RELATION = /^\s*([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([^\s)]+)\s*\))?/;
/** Deprecated spellings: `<` and `>` mean "or equal". */
const OLD_OPERATORS: Readonly<Record<string, keyof typeof OPERATORS>> = { '<': '<=', '>': '>=' };

/** The field's dependencies, each a list of alternatives; architectures and profiles are left out. */
export function parseRelations(text: string): Relation[][] {
  const groups = text.split(',').map((part) => part.split('|').flatMap((alternative) => parseRelation(alternative) ?? []));
  return groups.filter((alternatives) => alternatives.length > 0);
}

function parseRelation(text: string): Relation | undefined {
  const match = RELATION.exec(text);
  if (!match) return undefined;
  const [, name, operator, version] = match;
  if (operator === undefined) return { name: name! };
  return { name: name!, operator: OLD_OPERATORS[operator] ?? (operator as keyof typeof OPERATORS), version: version! };
}

/** Whether a package or, where the name is virtual, what a package provides is what the relation asks for. */
export function satisfies(relation: Relation, version: string | undefined): boolean {
  if (relation.operator === undefined || relation.version === undefined) return true;
  // A virtual package without a version satisfies no versioned relation (Debian Policy §7.5).
  return version !== undefined && OPERATORS[relation.operator](compareVersions(version, relation.version));
}

export function formatRelation({ name, operator, version }: Relation): string {
  return operator === undefined ? name : `${name} (${operator} ${version})`;
}
