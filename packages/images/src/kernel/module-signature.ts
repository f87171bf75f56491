const MAGIC = Buffer.from('~Module signature appended~\n');
/** struct module_signature of Linux: its last member is the length of the signature, big endian. */
const TRAILER_BYTES = 12;

/**
 * The module without its appended signature, which the guest would spend some 10 million instructions a module on.
 * Nothing is lost: the package it comes from was checked against Debian's signed index.
 */
export function withoutSignature(module: Uint8Array): Uint8Array {
  const magicStart = module.length - MAGIC.length;
  if (magicStart < TRAILER_BYTES || !MAGIC.equals(module.subarray(magicStart))) return module;
  const view = new DataView(module.buffer, module.byteOffset, module.byteLength);
  const end = magicStart - TRAILER_BYTES - view.getUint32(magicStart - 4);
  return end > 0 ? module.subarray(0, end) : module;
}
