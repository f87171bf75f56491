import type { CompiledInstruction } from './control-flow.ts';
import type { FlagState } from './region-flags.ts';
import type { RegisterWidths } from './register-widths.ts';
import { type InstructionTemplate, type TemplateTools, TemplateWriter } from './template-writer.ts';

/** Different instructions kept at most; then all are forgotten. */
const INSTRUCTIONS_MAX = 50_000;

/** What an instruction became where flags and registers were as they are here. */
interface Variant {
  readonly flagsBefore: FlagState;
  readonly flagsDead: boolean;
  /** Undefined where it cannot be part of a region. */
  readonly template: InstructionTemplate | undefined;
}

/** The same instruction stands in many places: its code is worked out once. */
export class TemplateCache {
  readonly #tools: TemplateTools;
  readonly #variants = new Map<string, Variant[]>();

  constructor(tools: TemplateTools) {
    this.#tools = tools;
  }

  /** The template of an instruction behind code that leaves flags and registers so. */
  find(instruction: CompiledInstruction, flagsBefore: FlagState, widths: RegisterWidths): InstructionTemplate | undefined {
    const { key, flagsDead } = instruction;
    let variants = this.#variants.get(key);
    if (!variants) {
      if (this.#variants.size === INSTRUCTIONS_MAX) this.#variants.clear();
      this.#variants.set(key, (variants = []));
    }
    for (const variant of variants) {
      const { template } = variant;
      if (variant.flagsBefore === flagsBefore && variant.flagsDead === flagsDead && (!template || widths.are(template.widthsRead))) return template;
    }
    const template = new TemplateWriter(instruction, this.#tools).write(flagsBefore, widths);
    variants.push({ flagsBefore, flagsDead, template });
    return template;
  }
}
