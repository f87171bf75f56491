import { ACCESS, type CpuState } from './cpu-state.ts';
import { CPU, SEGMENT, SEGMENT_INDEX } from './layout.ts';

/** The import `segmentLinear`: checks type and limit outside 64-bit mode (SDM vol. 3A §5.3, §5.4). */
export function segmentLinear(state: CpuState, index: number, offset: number, sizeAndWrite: number): number {
  const at = CPU.segments + index * SEGMENT.sizeBytes;
  const access = state.word(at + SEGMENT.access);
  const limit = state.word(at + SEGMENT.limit);
  const write = (sizeAndWrite & 0x100) !== 0;
  const first = offset >>> 0;
  const last = first + (sizeAndWrite & 0xff) - 1;
  const isCode = (access & ACCESS.code) !== 0;
  const allowed = isCode ? !write && (access & ACCESS.readable) !== 0 : !write || (access & ACCESS.writable) !== 0;
  const top = access & ACCESS.big ? 0xffffffff : 0xffff;
  const inside = !isCode && access & ACCESS.expandDown ? first > limit && last <= top : last <= limit;
  const typed = allowed || !state.isProtected || state.isVirtual8086;
  if (access & ACCESS.present && !(access & ACCESS.unusable) && typed && inside) return (state.word(at) + first) % 0x100000000;
  state.setWord(CPU.faultVector, (index === SEGMENT_INDEX.SS ? 12 : 13) | 0x80000000);
  state.setWord(CPU.faultErrorCode, 0);
  return -1;
}
