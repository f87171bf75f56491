import type { AccessWidthBytes, IoHandler } from '@hanok/machine';

/** One register of a device. A register without `read` reads as zero; one without `write` ignores writes. */
export interface Register {
  readonly name: string;
  readonly offset: number;
  readonly widthBytes: AccessWidthBytes;
  readonly read?: () => number;
  /** `mask` has the bits of the bytes that the guest wrote; it is all ones for a whole write. */
  readonly write?: (value: number, mask: number) => void;
}

const widthMask = (widthBytes: number): number => (widthBytes === 4 ? 0xffffffff : 2 ** (widthBytes * 8) - 1);

/**
 * Makes the handler of a list of registers. An access may cover part of a register or several of them, as a bus that
 * splits accesses into bytes would serve it; bytes that belong to no register read as ones and ignore writes.
 */
export function registerTable(registers: readonly Register[]): IoHandler {
  const owners: (Register | undefined)[] = [];
  for (const register of registers) {
    for (let byte = 0; byte < register.widthBytes; byte++) owners[register.offset + byte] = register;
  }

  const read = (offset: number, widthBytes: AccessWidthBytes): number => {
    const owner = owners[offset];
    if (owner?.offset === offset && owner.widthBytes === widthBytes) return owner.read ? owner.read() >>> 0 : 0;
    let value = 0;
    for (let done = 0; done < widthBytes; ) {
      const register = owners[offset + done];
      const skip = register ? offset + done - register.offset : 0;
      const taken = Math.min(register ? register.widthBytes - skip : 1, widthBytes - done);
      const part = register ? (register.read?.() ?? 0) >>> (skip * 8) : 0xff;
      value |= (part & widthMask(taken)) << (done * 8);
      done += taken;
    }
    return value >>> 0;
  };

  const write = (offset: number, value: number, widthBytes: AccessWidthBytes): void => {
    for (let done = 0; done < widthBytes; ) {
      const register = owners[offset + done];
      const skip = register ? offset + done - register.offset : 0;
      const taken = Math.min(register ? register.widthBytes - skip : 1, widthBytes - done);
      const mask = widthMask(taken);
      register?.write?.((((value >>> (done * 8)) & mask) << (skip * 8)) >>> 0, (mask << (skip * 8)) >>> 0);
      done += taken;
    }
  };

  return { read, write };
}
