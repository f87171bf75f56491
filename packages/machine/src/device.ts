/** A versioned plain value: JSON numbers, strings, arrays, objects, and Uint8Array. */
export interface SavedState {
  readonly version: number;
  readonly [key: string]: unknown;
}

/**
 * A device of a machine. Lifecycle: create → run ⇄ pause → stop. A paused device produces no work: no interrupt, no
 * memory write, no backend call that was not under way.
 */
export interface Device {
  readonly name: string;
  /** Back to the state after power-on. */
  reset(): void;
  pause(): Promise<void>;
  resume(): void;
  /** Releases backends. The device is not used afterwards. */
  stop(): Promise<void>;
  save(): SavedState;
  /** Validates `state` as hostile input; throws an Error that names the device and the field. */
  restore(state: SavedState): void;
}
