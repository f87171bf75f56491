/**
 * Finds by an address of wasm memory and a tag. Keys are small integers, since V8's hash of larger numbers has few values,
 * and stay when their item goes: a Map in which the same key is deleted and set again and again searches all its graves.
 */
export class BlockIndex<Item> {
  readonly #byTag = new Map<number, Map<number, Item | undefined>>();

  get(address: number, tag: number): Item | undefined {
    return this.#byTag.get(tag)?.get(address | 0);
  }

  set(address: number, tag: number, item: Item): void {
    const items = this.#byTag.get(tag);
    if (items) items.set(address | 0, item);
    else this.#byTag.set(tag, new Map<number, Item | undefined>([[address | 0, item]]));
  }

  delete(address: number, tag: number): void {
    this.#byTag.get(tag)?.set(address | 0, undefined);
  }

  clear(): void {
    this.#byTag.clear();
  }
}
