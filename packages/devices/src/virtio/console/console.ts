import type { StateReader } from '../../pci/index.ts';
import type { QueueDeclaration, VirtioEnv, VirtioModel } from '../device.ts';
import { virtioDevice } from '../pci-transport.ts';
import type { Virtqueue } from '../virtqueue.ts';
import {
  CONTROL_MESSAGE_SIZE_BYTES,
  CONTROL_RECEIVE_QUEUE,
  CONTROL_TRANSMIT_QUEUE,
  PORTS_MAX,
  VIRTIO_CONSOLE_DEVICE_READY,
  VIRTIO_CONSOLE_F_MULTIPORT,
  VIRTIO_CONSOLE_F_SIZE,
  VIRTIO_CONSOLE_PORT_OPEN,
  VIRTIO_CONSOLE_PORT_READY,
  VIRTIO_ID_CONSOLE,
} from './constants.ts';
import { nextMessage } from './messages.ts';
import type { ResizeOrder } from './messages.ts';
import { ConsolePort, Owed } from './port.ts';
import type { ConsolePortConfig } from './port.ts';

export interface ConsoleConfig {
  /** Port 0 comes first; it is the only one for a driver without multiport. */
  readonly ports: readonly ConsolePortConfig[];
  /** The order of the two numbers in a resize message; see `ResizeOrder`. Default 'columns-rows'. */
  readonly resizeOrder?: ResizeOrder;
}

const CONFIG_SIZE_BYTES = 12;

/** Console device with multiple ports (virtio 1.2 §5.3). */
export const virtioConsole = virtioDevice<ConsoleConfig>({
  name: 'console',
  id: VIRTIO_ID_CONSOLE,
  spec: 'virtio 1.2 §5.3',
  classCode: 0x078000,
  queues: consoleQueues,
  features: ({ ports }) => [...(ports.some((port) => port.backend.onResize) ? [VIRTIO_CONSOLE_F_SIZE] : []), VIRTIO_CONSOLE_F_MULTIPORT],
  create: (config, env) => new VirtioConsole(config, env),
});

function consoleQueues({ ports }: ConsoleConfig): QueueDeclaration[] {
  checkPorts(ports);
  const pair = (name: string): QueueDeclaration[] => [
    { name: `${name} receiveq`, sizeMax: 64 },
    { name: `${name} transmitq`, sizeMax: 64 },
  ];
  return [...pair('port 0'), ...pair('control'), ...ports.slice(1).flatMap((_port, index) => pair(`port ${index + 1}`))];
}

function checkPorts(ports: readonly ConsolePortConfig[]): void {
  if (ports.length < 1 || ports.length > PORTS_MAX) throw new Error(`console: ${ports.length} ports; declare 1 to ${PORTS_MAX}`);
  const names = new Set<string>();
  for (const { name } of ports) {
    if (!/^[\w.-]{1,64}$/.test(name))
      throw new Error(`console: port name "${name}" is not 1 to 64 letters, digits, dots, dashes or underscores`);
    if (names.has(name)) throw new Error(`console: two ports are named "${name}"; rename one`);
    names.add(name);
  }
}

class VirtioConsole implements VirtioModel {
  readonly config = new Uint8Array(CONFIG_SIZE_BYTES);
  readonly #env: VirtioEnv;
  readonly #ports: ConsolePort[] = [];
  readonly #resizeOrder: ResizeOrder;
  readonly #view = new DataView(this.config.buffer);

  constructor({ ports, resizeOrder = 'columns-rows' }: ConsoleConfig, env: VirtioEnv) {
    this.#env = env;
    this.#resizeOrder = resizeOrder;
    this.#view.setUint32(4, ports.length, true);
    const host = {
      env,
      multiport: () => this.#multiport,
      flushControl: () => this.#flushControl(),
      resized: (port: ConsolePort) => this.#resized(port),
    };
    ports.forEach((port, id) => this.#ports.push(new ConsolePort(id, port, host)));
  }

  onDriverOk(): void {
    if (!this.#multiport) this.#ports[0]!.setGuestOpen(true);
  }

  onNotify(queue: Virtqueue): void {
    if (queue.index === CONTROL_RECEIVE_QUEUE) return this.#flushControl();
    if (queue.index === CONTROL_TRANSMIT_QUEUE) return this.#receiveControl(queue);
    const port = this.#ports[queue.index < 2 ? 0 : (queue.index - 2) >> 1];
    if (queue.index % 2 === 0) port?.wake();
    else port?.transmit();
  }

  reset(): void {
    for (const port of this.#ports) port.reset();
  }

  save(): Record<string, unknown> {
    return { ports: this.#ports.map((port) => port.save()) };
  }

  restore(state: StateReader): void {
    const ports = state.objects('ports', this.#ports.length);
    this.#ports.forEach((port, id) => port.restore(ports[id]!));
  }

  get #multiport(): boolean {
    return this.#env.hasFeature(VIRTIO_CONSOLE_F_MULTIPORT);
  }

  #receiveControl(queue: Virtqueue): void {
    const message = new Uint8Array(CONTROL_MESSAGE_SIZE_BYTES);
    const view = new DataView(message.buffer);
    for (let chain = queue.pop(); chain; chain = queue.pop()) {
      const complete = chain.readable.copyTo(0, message) === message.length;
      queue.push(chain, 0);
      if (complete && this.#multiport) this.#handleControl(view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true));
    }
    this.#flushControl();
  }

  /** Messages for ports that do not exist, and events only a device sends, mean nothing. */
  #handleControl(id: number, event: number, value: number): void {
    if (event === VIRTIO_CONSOLE_DEVICE_READY && value === 1) for (const port of this.#ports) port.owed |= Owed.Add;
    const port = this.#ports[id];
    if (!port) return;
    if (event === VIRTIO_CONSOLE_PORT_READY) this.#portReady(port, value === 1);
    else if (event === VIRTIO_CONSOLE_PORT_OPEN) port.setGuestOpen(value !== 0);
  }

  #portReady(port: ConsolePort, ready: boolean): void {
    port.ready = ready;
    port.toldOpen = false;
    if (!ready) return;
    port.owed |= Owed.Name | (port.config.isConsole ? Owed.ConsolePort : 0);
    if (port.config.isConsole && port.columns > 0) port.owed |= Owed.Resize;
  }

  /** One message a buffer, until nothing is owed or the driver has no buffer. */
  #flushControl(): void {
    const queue = this.#env.queues[CONTROL_RECEIVE_QUEUE]!;
    if (!this.#multiport || !this.#env.active()) return;
    queue.beginTurn();
    for (const port of this.#ports) {
      for (let message = nextMessage(port, this.#resizeOrder); message; message = nextMessage(port, this.#resizeOrder)) {
        const chain = queue.pop();
        if (!chain) return queue.signal();
        queue.push(chain, chain.writable.copyFrom(0, message.bytes));
        message.sent();
      }
    }
    queue.signal();
    for (const port of this.#ports) port.wake();
  }

  #resized(port: ConsolePort): void {
    if (port.id === 0) {
      this.#view.setUint16(0, port.columns, true);
      this.#view.setUint16(2, port.rows, true);
    }
    if (!this.#multiport) {
      if (port.id === 0) this.#env.configChanged();
      return;
    }
    if (!port.ready || !port.config.isConsole) return;
    port.owed |= Owed.Resize;
    this.#flushControl();
  }
}
