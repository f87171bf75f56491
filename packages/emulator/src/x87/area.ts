import type { HelperContext } from '../helper.ts';
import { byteAddress } from './memory.ts';

const PAGE_BYTES = 4096;
const GP = 13;

/** An area of state in memory: where it begins in `memory`. */
export interface Area {
  readonly memory: DataView;
  readonly at: number;
}

/** Holds an area that cannot be accessed in place, while an instruction works on it. */
const copy: Area = { memory: new DataView(new ArrayBuffer(1024)), at: 0 };

/** Works on the area at a linear address, in place or on a copy, which is written back where the instruction writes. */
export function inArea(context: HelperContext, linear: bigint, alignmentBytes: bigint, lengthBytes: number, write: boolean, work: (area: Area) => void): void {
  if (linear % alignmentBytes !== 0n) context.raise(GP, 0);
  const firstBytes = Math.min(lengthBytes, PAGE_BYTES - Number(linear & BigInt(PAGE_BYTES - 1)));
  const first = context.plainAddress(linear, firstBytes, write);
  const memory = context.wasmMemory;
  if (first !== 0 && firstBytes === lengthBytes) {
    work({ memory, at: first });
    return;
  }
  const second = first === 0 ? 0 : context.plainAddress(byteAddress(context, linear, firstBytes), lengthBytes - firstBytes, write);
  if (second !== 0) onTwoPages({ memory, at: first }, firstBytes, { memory, at: second }, lengthBytes - firstBytes, write, work);
  else pieceByPiece(context, linear, lengthBytes, write, work);
}

/** Kernels keep the state of each thread where there is room, which may be over the end of a page. */
function onTwoPages(first: Area, firstBytes: number, second: Area, secondBytes: number, write: boolean, work: (area: Area) => void): void {
  const rest = { memory: copy.memory, at: firstBytes };
  copyWords(first, copy, firstBytes);
  copyWords(second, rest, secondBytes);
  work(copy);
  if (!write) return;
  copyWords(copy, first, firstBytes);
  copyWords(rest, second, secondBytes);
}

function pieceByPiece(context: HelperContext, linear: bigint, lengthBytes: number, write: boolean, work: (area: Area) => void): void {
  const { memory } = copy;
  if (write) context.probeWrite(linear, lengthBytes);
  for (let at = 0; at < lengthBytes; at += 8) memory.setBigUint64(at, context.readMemory(byteAddress(context, linear, at), 64), true);
  work(copy);
  if (write) for (let at = 0; at < lengthBytes; at += 8) context.writeMemory(byteAddress(context, linear, at), memory.getBigUint64(at, true), 64);
}

/** Copies whole words of 32 bits. */
export function copyWords(from: Area, to: Area, lengthBytes: number): void {
  for (let at = 0; at < lengthBytes; at += 4) to.memory.setInt32(to.at + at, from.memory.getInt32(from.at + at, true), true);
}
