/** What stands behind a disk. All functions reject with an Error that names the file; the guest sees an I/O error. */
export interface BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** Fills `target` from `offsetBytes` on. */
  read(offsetBytes: number, target: Uint8Array): Promise<void>;
  write(offsetBytes: number, source: Uint8Array): Promise<void>;
  /** Resolves when everything written so far is durable. */
  flush(): Promise<void>;
  /** Frees the range; it reads as zeros afterwards. */
  discard(offsetBytes: number, lengthBytes: number): Promise<void>;
  close(): Promise<void>;
}

/** What stands behind a serial port or a console port: bytes to and from the outside. */
export interface ConsoleBackend {
  /** Bytes the guest sent. False asks the device to wait for `onDrain`. */
  write(bytes: Uint8Array): boolean;
  /** The device registers for bytes that go to the guest; it returns how many it took. */
  onInput(listener: (bytes: Uint8Array) => number): void;
  /** The device says that it can take more input after it took less than it was given. */
  ready(): void;
  onDrain(listener: () => void): void;
  /** The outside will send no more bytes, and all that came were taken. */
  onEnd(listener: () => void): void;
  /** Terminal size changes; called at once with the present size where it is known. */
  onResize?(listener: (columns: number, rows: number) => void): void;
}

/** Random bytes for the guest. */
export interface EntropySource {
  /** Fills `target` with random bytes. */
  fill(target: Uint8Array): void;
}
