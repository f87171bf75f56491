/**
 * Size in bytes of what an .xz file unpacks to, from the index of its (last) stream: The .xz File Format 1.2.1, §2.1.2
 * stream footer and §4 index. Throws an Error when these are malformed.
 */
export function xzContentBytes(bytes: Uint8Array): number {
  let end = bytes.length;
  // Stream padding: a multiple of four zero bytes after the footer.
  while (end >= 4 && isZero(bytes, end - 4)) end -= 4;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (end < 32 || view.getUint16(end - 2) !== 0x595a) throw new Error('not an .xz file, or cut off');
  const indexBytes = (view.getUint32(end - 8, true) + 1) * 4;
  const start = end - 12 - indexBytes;
  if (start < 12 || bytes[start] !== 0) throw new Error('the .xz index is damaged');
  const reader = { position: start + 1, end: end - 12 };
  const recordCount = readVarint(bytes, reader);
  let total = 0;
  for (let record = 0; record < recordCount; record++) {
    readVarint(bytes, reader);
    total += readVarint(bytes, reader);
  }
  return total;
}

function isZero(bytes: Uint8Array, offset: number): boolean {
  return bytes[offset] === 0 && bytes[offset + 1] === 0 && bytes[offset + 2] === 0 && bytes[offset + 3] === 0;
}

/** Multibyte integer (§1.2): seven bits a byte, least significant first. */
export function readVarint(bytes: Uint8Array, reader: { position: number; readonly end: number }): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 49; scale *= 128) {
    if (reader.position >= reader.end) break;
    const byte = bytes[reader.position++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  throw new Error('the .xz index is damaged');
}
