export const VIRTIO_ID_CONSOLE = 3;

/** Feature bits (virtio 1.2 §5.3.3). */
export const VIRTIO_CONSOLE_F_SIZE = 0;
export const VIRTIO_CONSOLE_F_MULTIPORT = 1;

/** Events of control messages (virtio 1.2 §5.3.6.2). */
export const VIRTIO_CONSOLE_DEVICE_READY = 0;
export const VIRTIO_CONSOLE_DEVICE_ADD = 1;
export const VIRTIO_CONSOLE_PORT_READY = 3;
export const VIRTIO_CONSOLE_CONSOLE_PORT = 4;
export const VIRTIO_CONSOLE_RESIZE = 5;
export const VIRTIO_CONSOLE_PORT_OPEN = 6;
export const VIRTIO_CONSOLE_PORT_NAME = 7;

export const CONTROL_MESSAGE_SIZE_BYTES = 8;

/** Queue numbers (virtio 1.2 §5.3.2): port 0 has queues 0 and 1, control 2 and 3, port n from 1 on 2n+2 and 2n+3. */
export const CONTROL_RECEIVE_QUEUE = 2;
export const CONTROL_TRANSMIT_QUEUE = 3;
export const PORTS_MAX = 31;
