/** What a block unpacks to; the last one to less. */
const BLOCK_BYTES = 8 << 20;
const MAGIC_BYTES = 4;

/**
 * Unpacks LZ4's legacy format (LZ4 Frame Format, "Legacy frame": the magic number, then blocks behind their lengths) to
 * exactly `sizeBytes`. Throws an Error when it is malformed.
 */
export async function unpackLz4Legacy(bytes: Uint8Array, sizeBytes: number): Promise<Uint8Array> {
  const { uncompress } = await import('lz4-napi');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks: Uint8Array[] = [];
  let at = MAGIC_BYTES;
  for (let leftBytes = sizeBytes; leftBytes > 0; leftBytes -= BLOCK_BYTES) {
    const start = at + 4;
    const end = start + (start <= bytes.length ? view.getUint32(at, true) : 0);
    if (start > bytes.length || end > bytes.length) throw new Error('it is cut off');
    const unpackedBytes = Math.min(BLOCK_BYTES, leftBytes);
    // The decoder wants the block's size unpacked before it.
    const block = Buffer.allocUnsafe(4 + end - start);
    block.writeUInt32LE(unpackedBytes);
    block.set(bytes.subarray(start, end), 4);
    const unpacked = await uncompress(block);
    if (unpacked.length !== unpackedBytes) throw new Error(`a block unpacks to ${unpacked.length} bytes instead of ${unpackedBytes}`);
    blocks.push(unpacked);
    at = end;
  }
  if (at !== bytes.length) throw new Error('it is longer than it says');
  return Buffer.concat(blocks);
}
