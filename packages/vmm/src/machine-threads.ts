import { parentPort, type Transferable, Worker } from 'node:worker_threads';
import { setThreadFlags } from './v8-flags.ts';

/** The programs of a machine's threads; each gets its data as its first message. */
const PROGRAMS = { vcpu: new URL('./vcpu-worker.ts', import.meta.url), compiler: new URL('./compiler-worker.ts', import.meta.url) } as const;
type Program = keyof typeof PROGRAMS;

const spares = new Map<Program, Worker>();

function create(program: Program): Worker {
  setThreadFlags();
  return new Worker(PROGRAMS[program], { execArgv: [] });
}

/** Starts the first threads of a machine that is going to be made, so that they load their code meanwhile; they keep no process alive. */
export function preloadThreads(): void {
  for (const program of ['vcpu', 'compiler'] as const) {
    if (spares.has(program)) continue;
    const worker = create(program);
    worker.unref();
    spares.set(program, worker);
  }
}

/** Starts a thread, or gives a preloaded one its work. */
export function startThread(program: Program, data: unknown, transferList: readonly Transferable[]): Worker {
  const worker = spares.get(program) ?? create(program);
  spares.delete(program);
  worker.ref();
  worker.postMessage(data, transferList);
  return worker;
}

/** In such a thread: what it was started with. */
export function threadData<Data>(): Promise<Data> {
  return new Promise((resolve) => void parentPort!.once('message', resolve));
}
