import { Vector } from '@hanok/x86';
import type { SystemContext, SystemHelper } from '../helper.ts';
import { CPU, SEGMENT_INDEX } from '../layout.ts';

/** IOPL, or the task's permission bitmap (SDM vol. 1 §19.5). */
function checkPermission(context: SystemContext, port: number, widthBytes: number): void {
  const { state } = context;
  const iopl = Number((state.get(CPU.systemFlags) >> 12n) & 3n);
  if (!state.isProtected || (!state.isVirtual8086 && state.cpl <= iopl)) return;
  const tr = state.segment(SEGMENT_INDEX.TR);
  const available = (tr.access & 8) !== 0 && tr.limit >= 103;
  if (!available) context.raise(Vector.GP, 0);
  const map = Number(context.readSystem(tr.base + 0x66n, 16)) + (port >> 3);
  if (map + 1 > tr.limit) context.raise(Vector.GP, 0);
  const bits = Number(context.readSystem(tr.base + BigInt(map), 16)) >> (port & 7);
  if (bits & ((1 << widthBytes) - 1)) context.raise(Vector.GP, 0);
}

const width = (bits: bigint) => (Number(bits) / 8) as 1 | 2 | 4;

export const PORT_HELPERS: Record<string, SystemHelper> = {
  'check-port': (context, port, bits) => checkPermission(context, Number(port! & 0xffffn), width(bits!)),
  'port-in'(context, port, bits) {
    const number = Number(port! & 0xffffn);
    checkPermission(context, number, width(bits!));
    return BigInt(context.readPort(number, width(bits!)));
  },
  'port-out'(context, port, value, bits) {
    const number = Number(port! & 0xffffn);
    checkPermission(context, number, width(bits!));
    context.writePort(number, Number(BigInt.asUintN(Number(bits!), value!)), width(bits!));
  },
};
