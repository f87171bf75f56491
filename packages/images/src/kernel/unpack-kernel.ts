import { compressedKernel, trimPvhKernel } from '@hanok/boot';
import { decompress } from '../debian/decompress.ts';
import { ImageError, messageOf } from '../image-error.ts';
import { unpackLz4Legacy } from './lz4-legacy.ts';
import { unpackXzKernel } from './xz-kernel.ts';

export interface UnpackOptions {
  /** Names the kernel in errors. */
  readonly label: string;
  readonly signal?: AbortSignal | undefined;
}

/** Several times what a kernel unpacks to. */
const UNPACKED_MAX_BYTES = 512 << 20;
const SIZE_BYTES = 4;

interface Compression {
  readonly magic: readonly number[];
  /** Gives `sizeBytes` or fewer. */
  unpack(packed: Uint8Array, sizeBytes: number, options: UnpackOptions): Promise<Uint8Array>;
}

/**
 * How a kernel may be compressed (Linux, Documentation/arch/x86/boot.rst, payload_offset). Behind what is compressed stands its
 * size unpacked, which gzip has in its own trailer.
 */
const COMPRESSIONS: readonly Compression[] = [
  { magic: [0x02, 0x21, 0x4c, 0x18], unpack: async (packed, sizeBytes) => await unpackLz4Legacy(packed.subarray(0, -SIZE_BYTES), sizeBytes) },
  {
    magic: [0x28, 0xb5, 0x2f, 0xfd],
    unpack: async (packed, limitBytes, { signal }) => await decompress('vmlinux.zst', packed.subarray(0, -SIZE_BYTES), { limitBytes, signal }),
  },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], unpack: async (packed, sizeBytes) => await unpackXzKernel(packed.subarray(0, -SIZE_BYTES), sizeBytes) },
  { magic: [0x1f, 0x8b], unpack: async (packed, limitBytes, { signal }) => await decompress('vmlinux.gz', packed, { limitBytes, signal }) },
];

/**
 * The kernel inside a bzImage, which boots through PVH without unpacking itself, and no more of it than is loaded. Undefined
 * for what has to boot as it is: i386, kernels without PVH, other compressions. Throws an ImageError when it is damaged.
 */
export async function unpackKernel(bzImage: Uint8Array, options: UnpackOptions): Promise<Uint8Array | undefined> {
  try {
    const packed = compressedKernel(bzImage);
    const compression = packed && COMPRESSIONS.find(({ magic }) => magic.every((byte, index) => packed[index] === byte));
    return compression && trimPvhKernel(await unpack(packed, compression, options));
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new ImageError(`the kernel of ${options.label} cannot be unpacked (${messageOf(error)}): choose another kernel`, error);
  }
}

async function unpack(packed: Uint8Array, compression: Compression, options: UnpackOptions): Promise<Uint8Array> {
  const sizeBytes = new DataView(packed.buffer, packed.byteOffset, packed.byteLength).getUint32(packed.length - SIZE_BYTES, true);
  if (sizeBytes === 0 || sizeBytes > UNPACKED_MAX_BYTES) throw new Error(`it says that it unpacks to ${sizeBytes} bytes, which no kernel does`);
  const kernel = await compression.unpack(packed, sizeBytes, options);
  if (kernel.length !== sizeBytes) throw new Error(`it unpacks to ${kernel.length} bytes instead of ${sizeBytes}`);
  return kernel;
}
