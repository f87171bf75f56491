import type { CompiledInstruction } from './region-blocks.ts';
import type { FlagState } from './region-flags.ts';
import type { RegisterWidths } from './register-widths.ts';
import { type InstructionTemplate, type TemplateTools, TemplateWriter } from './template-writer.ts';

/** Templates kept at most; then all are forgotten. */
const TEMPLATES_MAX = 50_000;

/** What an instruction became where flags and registers were as they are here. */
interface Variant {
  readonly flagsBefore: FlagState;
  readonly flagsDead: boolean;
  /** `InstructionGroups.mask`. */
  readonly grouped: number;
  /** Undefined where it cannot be part of a region. */
  readonly template: InstructionTemplate | undefined;
}

/** The same instruction stands in many places: its code is worked out once. */
export class TemplateCache {
  readonly #tools: TemplateTools;
  readonly #variants = new Map<string, Variant[]>();
  #count = 0;

  constructor(tools: TemplateTools) {
    this.#tools = tools;
  }

  /** The template of an instruction behind code that leaves flags and registers so. */
  find(instruction: CompiledInstruction, flagsBefore: FlagState, widths: RegisterWidths): InstructionTemplate | undefined {
    const { key, flagsDead, groups } = instruction;
    const grouped = groups?.mask ?? 0;
    for (const variant of this.#variants.get(key) ?? []) {
      const { template } = variant;
      if (variant.flagsBefore === flagsBefore && variant.flagsDead === flagsDead && variant.grouped === grouped && (!template || widths.are(template.widthsRead))) return template;
    }
    const template = new TemplateWriter(instruction, this.#tools).write(flagsBefore, widths);
    this.#add(key, { flagsBefore, flagsDead, grouped, template });
    return template;
  }

  #add(key: string, variant: Variant): void {
    if (this.#count === TEMPLATES_MAX) {
      this.#variants.clear();
      this.#count = 0;
    }
    this.#count++;
    const variants = this.#variants.get(key);
    if (variants) variants.push(variant);
    else this.#variants.set(key, [variant]);
  }
}
