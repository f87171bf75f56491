import {
  CONTROL_MESSAGE_SIZE_BYTES,
  VIRTIO_CONSOLE_CONSOLE_PORT,
  VIRTIO_CONSOLE_DEVICE_ADD,
  VIRTIO_CONSOLE_PORT_NAME,
  VIRTIO_CONSOLE_PORT_OPEN,
  VIRTIO_CONSOLE_RESIZE,
} from './constants.ts';
import { Owed } from './port.ts';
import type { ConsolePort } from './port.ts';

/**
 * virtio 1.2 §5.3.6.2 puts the columns first; Linux's driver read the rows first for many years (changed by commit
 * 5326ab737a47), so a guest with such a kernel needs 'rows-columns'.
 */
export type ResizeOrder = 'columns-rows' | 'rows-columns';

/** A control message to the driver; `sent` says that it has it. */
export interface ControlMessage {
  readonly bytes: Uint8Array;
  sent(): void;
}

/** The next message a port owes the driver, in the order in which a driver expects them. */
export function nextMessage(port: ConsolePort, order: ResizeOrder): ControlMessage | undefined {
  const owed = (bit: number, event: number, value: number, extra?: Uint8Array): ControlMessage => ({
    bytes: encode(port.id, event, value, extra),
    sent: () => void (port.owed &= ~bit),
  });
  if ((port.owed & Owed.Add) !== 0) return owed(Owed.Add, VIRTIO_CONSOLE_DEVICE_ADD, 1);
  if (!port.ready) return undefined;
  if ((port.owed & Owed.ConsolePort) !== 0) return owed(Owed.ConsolePort, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
  if ((port.owed & Owed.Name) !== 0) {
    return owed(
      Owed.Name,
      VIRTIO_CONSOLE_PORT_NAME,
      1,
      Uint8Array.from(port.config.name, (character) => character.charCodeAt(0)),
    );
  }
  if ((port.owed & Owed.Resize) !== 0) return owed(Owed.Resize, VIRTIO_CONSOLE_RESIZE, 0, size(port, order));
  if (port.toldOpen === port.hostOpen) return undefined;
  const open = port.hostOpen;
  return { bytes: encode(port.id, VIRTIO_CONSOLE_PORT_OPEN, open ? 1 : 0), sent: () => void (port.toldOpen = open) };
}

function encode(id: number, event: number, value: number, extra: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(CONTROL_MESSAGE_SIZE_BYTES + extra.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, id, true);
  view.setUint16(4, event, true);
  view.setUint16(6, value, true);
  bytes.set(extra, CONTROL_MESSAGE_SIZE_BYTES);
  return bytes;
}

function size(port: ConsolePort, order: ResizeOrder): Uint8Array {
  const [first, second] = order === 'columns-rows' ? [port.columns, port.rows] : [port.rows, port.columns];
  return Uint8Array.of(first & 0xff, first >>> 8, second & 0xff, second >>> 8);
}
