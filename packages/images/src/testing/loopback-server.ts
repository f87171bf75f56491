import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** An HTTP server on the loopback interface that serves files from memory and can be told to misbehave. */
export class LoopbackServer {
  readonly files = new Map<string, Uint8Array>();
  /** Takes the next requests for a path, one handler each, before its file is served. */
  readonly surprises = new Map<string, Handler[]>();
  readonly requests: { path: string; headers: IncomingMessage['headers'] }[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  static async start(files: ReadonlyMap<string, Uint8Array> = new Map()): Promise<LoopbackServer> {
    const server = new LoopbackServer();
    for (const [path, content] of files) server.files.set(path, content);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.port}/`);
  }

  countOf(path: string): number {
    return this.requests.filter((request) => request.path === path).length;
  }

  surprise(path: string, ...handlers: Handler[]): void {
    this.surprises.set(path, handlers);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    // A proxy is asked for a whole URL.
    const path = new URL(request.url ?? '/', 'http://localhost').pathname.slice(1);
    this.requests.push({ path, headers: request.headers });
    const surprise = this.surprises.get(path)?.shift();
    if (surprise) return surprise(request, response);
    const content = this.files.get(path);
    if (!content) return void response.writeHead(404).end();
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (start === 0) return void response.writeHead(200, { 'content-length': content.length }).end(content);
    if (start >= content.length) return void response.writeHead(416).end();
    response.writeHead(206, { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}`, 'content-length': content.length - start });
    response.end(content.subarray(start));
  }
}

/** Sends the first bytes and breaks the connection. */
export function truncateAfter(content: Uint8Array, sentBytes: number): Handler {
  return (_request, response) => {
    response.writeHead(200, { 'content-length': content.length });
    response.write(content.subarray(0, sentBytes), () => response.destroy());
  };
}

export function answer(status: number, body: string | Uint8Array = '', headers: Record<string, string> = {}): Handler {
  return (_request, response) => void response.writeHead(status, headers).end(body);
}
