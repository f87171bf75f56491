export const VIRTIO_ID_BLOCK = 2;

/** Feature bits (virtio 1.2 §5.2.3). */
export const VIRTIO_BLK_F_SIZE_MAX = 1;
export const VIRTIO_BLK_F_SEG_MAX = 2;
export const VIRTIO_BLK_F_RO = 5;
export const VIRTIO_BLK_F_BLK_SIZE = 6;
export const VIRTIO_BLK_F_FLUSH = 9;
export const VIRTIO_BLK_F_DISCARD = 13;
export const VIRTIO_BLK_F_WRITE_ZEROES = 14;

/** Request types (virtio 1.2 §5.2.6). */
export const VIRTIO_BLK_T_IN = 0;
export const VIRTIO_BLK_T_OUT = 1;
export const VIRTIO_BLK_T_FLUSH = 4;
export const VIRTIO_BLK_T_GET_ID = 8;
export const VIRTIO_BLK_T_DISCARD = 11;
export const VIRTIO_BLK_T_WRITE_ZEROES = 13;

/** Status byte (virtio 1.2 §5.2.6). */
export const VIRTIO_BLK_S_OK = 0;
export const VIRTIO_BLK_S_IOERR = 1;
export const VIRTIO_BLK_S_UNSUPP = 2;

/** Capacity and positions count sectors of this size whatever the block size. */
export const SECTOR_SIZE_BYTES = 512;
export const BLK_ID_SIZE_BYTES = 20;

/** Limits offered to the driver; a request of all segments at full size is the largest taken. */
export const SEGMENTS_MAX = 254;
export const SEGMENT_SIZE_BYTES_MAX = 65536;
export const REQUEST_SIZE_BYTES_MAX = SEGMENTS_MAX * SEGMENT_SIZE_BYTES_MAX;
export const DISCARD_SEGMENTS_MAX = 16;
/** 1 GiB in one discard or write-zeroes segment. */
export const DISCARD_SECTORS_MAX = 0x200000;
