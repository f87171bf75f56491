import type { AccessWidthBytes } from '@hanok/machine';
import { PciCapabilityId, allOnes } from '../pci/index.ts';
import type { Bar, BarRegion, Capability, ConfigRegister, ConfigSpace } from '../pci/index.ts';
import { VirtioPciCap } from './constants.ts';

/** Distance of two queues' notification registers. */
export const NOTIFY_MULTIPLIER_BYTES = 4;

const CAP_SIZE_BYTES = 16;

export interface VirtioPciLayout {
  readonly common: BarRegion;
  readonly notify: BarRegion;
  readonly isr: BarRegion;
  readonly device: BarRegion;
}

/** What the PCI configuration access capability reaches. */
export interface CfgAccessTarget {
  readonly config: ConfigSpace;
  readonly bar: Bar;
}

/** The vendor-specific capabilities that tell the driver where each structure lies (virtio 1.2 §4.1.4). */
export function virtioCapabilities(barIndex: number, layout: VirtioPciLayout, target: () => CfgAccessTarget): Capability[] {
  const structure = (
    type: number,
    region: BarRegion,
    extra: (offset: number) => ConfigRegister[] = () => [],
    extraBytes = 0,
  ): Capability => ({
    id: PciCapabilityId.VendorSpecific,
    sizeBytes: CAP_SIZE_BYTES + extraBytes,
    registers: (offset) => [
      { name: 'cap_len', offset: offset + 2, widthBytes: 1, value: CAP_SIZE_BYTES + extraBytes },
      { name: 'cfg_type', offset: offset + 3, widthBytes: 1, value: type },
      { name: 'bar', offset: offset + 4, widthBytes: 1, value: barIndex },
      { name: 'offset', offset: offset + 8, widthBytes: 4, value: region.offset },
      { name: 'length', offset: offset + 12, widthBytes: 4, value: region.sizeBytes },
      ...extra(offset + CAP_SIZE_BYTES),
    ],
  });
  const multiplier = (offset: number): ConfigRegister[] => [
    { name: 'notify_off_multiplier', offset, widthBytes: 4, value: NOTIFY_MULTIPLIER_BYTES },
  ];
  return [
    structure(VirtioPciCap.COMMON_CFG, layout.common),
    structure(VirtioPciCap.NOTIFY_CFG, layout.notify, multiplier, 4),
    structure(VirtioPciCap.ISR_CFG, layout.isr),
    ...(layout.device.sizeBytes > 0 ? [structure(VirtioPciCap.DEVICE_CFG, layout.device)] : []),
    cfgAccess(barIndex, target),
  ];
}

/** A window into the BAR for software that cannot map it (virtio 1.2 §4.1.4.9). */
function cfgAccess(barIndex: number, target: () => CfgAccessTarget): Capability {
  const sizeBytes = CAP_SIZE_BYTES + 4;
  return {
    id: PciCapabilityId.VendorSpecific,
    sizeBytes,
    registers: (offset) => {
      const dataOffset = offset + CAP_SIZE_BYTES;
      const access = () => selected(target(), offset, barIndex);
      return [
        { name: 'cap_len', offset: offset + 2, widthBytes: 1, value: sizeBytes },
        { name: 'cfg_type', offset: offset + 3, widthBytes: 1, value: VirtioPciCap.PCI_CFG },
        { name: 'bar', offset: offset + 4, widthBytes: 1, value: 0, writeMask: 0xff },
        { name: 'offset', offset: offset + 8, widthBytes: 4, value: 0, writeMask: 0xffffffff },
        { name: 'length', offset: offset + 12, widthBytes: 4, value: 0, writeMask: 0xffffffff },
        {
          name: 'pci_cfg_data',
          offset: dataOffset,
          widthBytes: 4,
          value: 0,
          writeMask: 0xffffffff,
          beforeRead: () => {
            const at = access();
            if (at) target().config.poke(dataOffset, target().bar.handler.read(at.offset, at.widthBytes), 4);
          },
          afterWrite: () => {
            const at = access();
            if (at)
              target().bar.handler.write(at.offset, (target().config.peek(dataOffset, 4) & allOnes(at.widthBytes)) >>> 0, at.widthBytes);
          },
        },
      ];
    },
  };
}

/** The access that the capability's fields describe, or undefined where they make none that a driver may ask for. */
function selected(
  { config, bar }: CfgAccessTarget,
  capability: number,
  barIndex: number,
): { offset: number; widthBytes: AccessWidthBytes } | undefined {
  const offset = config.peek(capability + 8, 4);
  const widthBytes = config.peek(capability + 12, 4);
  if (config.peek(capability + 4, 1) !== barIndex) return undefined;
  if (widthBytes !== 1 && widthBytes !== 2 && widthBytes !== 4) return undefined;
  return offset % widthBytes === 0 && offset + widthBytes <= bar.sizeBytes ? { offset, widthBytes } : undefined;
}
