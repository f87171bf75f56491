import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { ImageError, systemCode } from './image-error.ts';

const REDIRECT_LIMIT = 8;
const IDLE_TIMEOUT_MS = 30_000;

/** Names of proxies, as in the environment: `http_proxy`, `https_proxy`, `no_proxy`. */
export interface ProxySettings {
  readonly http_proxy?: string | undefined;
  readonly https_proxy?: string | undefined;
  readonly no_proxy?: string | undefined;
}

export interface HttpRequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** The request fails when nothing arrives for so long. */
  readonly idleTimeoutMs?: number;
}

/** An HTTP GET client that keeps connections, follows redirects and goes through proxies. */
export class HttpClient {
  readonly #findProxies: () => Promise<ProxySettings>;
  #agents: Promise<{ http: HttpAgent; https: HttpsAgent }> | undefined;

  /** Proxies given as a function are looked for at the first request. */
  constructor(proxies: ProxySettings | (() => Promise<ProxySettings>) = {}) {
    this.#findProxies = typeof proxies === 'function' ? proxies : async () => proxies;
  }

  async #makeAgents(): Promise<{ http: HttpAgent; https: HttpsAgent }> {
    const options = { keepAlive: true, maxSockets: 4, proxyEnv: { ...(await this.#findProxies()) } };
    return { http: new HttpAgent(options), https: new HttpsAgent(options) };
  }

  /** The response to GET `url`, whatever its status; the caller consumes or destroys the body. */
  async get(url: URL, options: HttpRequestOptions = {}): Promise<IncomingMessage> {
    let current = url;
    for (let hop = 0; hop <= REDIRECT_LIMIT; hop++) {
      const response = await this.#getOnce(current, options);
      const location = response.headers.location;
      if (![301, 302, 303, 307, 308].includes(response.statusCode ?? 0) || location === undefined) return response;
      response.destroy();
      const next = URL.canParse(location, current) ? new URL(location, current) : undefined;
      if (!next || !/^https?:$/.test(next.protocol) || (current.protocol === 'https:' && next.protocol === 'http:')) {
        throw new ImageError(`${current.href} redirects to ${location}, which is not followed: name another mirror`);
      }
      current = next;
    }
    throw new ImageError(`${url.href} redirects more than ${REDIRECT_LIMIT} times: name another mirror`);
  }

  /** Closes idle connections, so that the process can end. */
  close(): void {
    void this.#agents?.then(({ http, https }) => {
      http.destroy();
      https.destroy();
    });
  }

  async #getOnce(url: URL, options: HttpRequestOptions): Promise<IncomingMessage> {
    const { http, https } = await (this.#agents ??= this.#makeAgents());
    const secure = url.protocol === 'https:';
    const headers = { 'user-agent': 'hanok', 'accept-encoding': 'identity', ...options.headers };
    return await new Promise((resolve, reject) => {
      const common = { headers, ...(options.signal ? { signal: options.signal } : {}) };
      const request: ClientRequest = secure
        ? httpsRequest(url, { ...common, agent: https })
        : httpRequest(url, { ...common, agent: http });
      const idleTimeoutMs = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
      request.setTimeout(idleTimeoutMs, () => {
        request.destroy(Object.assign(new Error(`no data for ${idleTimeoutMs / 1000} s`), { code: 'ETIMEDOUT' }));
      });
      request.on('response', resolve);
      request.on('error', reject);
      request.end();
    });
  }
}

const NETWORK_CODES = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'ETIMEDOUT',
  'EPIPE',
  'ERR_PROXY_TUNNEL',
  'HPE_INVALID_CONSTANT',
]);

/** True for failures of the network or of the peer: worth a second try, and a reason to work offline. */
export function isNetworkError(error: unknown): boolean {
  const code = systemCode(error);
  return NETWORK_CODES.has(code) || code.startsWith('HPE_') || code.startsWith('ERR_TLS') || code.startsWith('CERT_');
}
