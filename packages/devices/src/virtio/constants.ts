/** PCI vendor of all virtio devices; a device's ID is 0x1040 plus its virtio ID (virtio 1.2 §4.1.2). */
export const VIRTIO_PCI_VENDOR_ID = 0x1af4;
export const VIRTIO_PCI_DEVICE_ID_BASE = 0x1040;

/** Device status bits (virtio 1.2 §2.1). */
export const VirtioStatus = { ACKNOWLEDGE: 1, DRIVER: 2, DRIVER_OK: 4, FEATURES_OK: 8, DEVICE_NEEDS_RESET: 64, FAILED: 128 } as const;

/** Reserved feature bits that the transport offers for every device (virtio 1.2 §6). */
export const VIRTIO_F_RING_INDIRECT_DESC = 28;
export const VIRTIO_F_RING_EVENT_IDX = 29;
export const VIRTIO_F_VERSION_1 = 32;

/** Descriptor flags (virtio 1.2 §2.7.5). */
export const VIRTQ_DESC_F_NEXT = 1;
export const VIRTQ_DESC_F_WRITE = 2;
export const VIRTQ_DESC_F_INDIRECT = 4;
/** Available ring flag (virtio 1.2 §2.7.6). */
export const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;

/** Structure types of the PCI capabilities (virtio 1.2 §4.1.4). */
export const VirtioPciCap = { COMMON_CFG: 1, NOTIFY_CFG: 2, ISR_CFG: 3, DEVICE_CFG: 4, PCI_CFG: 5 } as const;
export const VIRTIO_MSI_NO_VECTOR = 0xffff;

/** ISR status bits (virtio 1.2 §4.1.4.5). */
export const VIRTIO_ISR_QUEUE = 1;
export const VIRTIO_ISR_CONFIG = 2;
