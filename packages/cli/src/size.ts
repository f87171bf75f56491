import { UsageError } from './errors.ts';

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Reads a SIZE: plain bytes, or a number with K, M, G or T, which are powers of 1024 (`256M`, `1G`, `512MiB`). */
export function parseSize(text: string, flag: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*(?:([kmgt])(?:i?b)?|b)?$/i.exec(text.trim());
  if (!match) throw new UsageError(`${flag} ${text} is not a size; write bytes or a number with K, M or G, such as 256M or 1G`);
  const bytes = Number(match[1]) * (UNITS[(match[2] ?? '').toLowerCase()] ?? 1);
  if (!Number.isSafeInteger(bytes)) throw new UsageError(`${flag} ${text} is not a whole number of bytes; write it as 256M or 1G`);
  return bytes;
}

/** A size as people write it: the largest unit that divides it, or one decimal. */
export function formatSize(bytes: number): string {
  const names = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${names[unit]}`;
}
