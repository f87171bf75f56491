import { execFile } from 'node:child_process';
import type { ProxySettings } from './http-client.ts';

/** Runs a command and gives its standard output, or undefined when it is missing or fails. */
export type CommandRunner = (command: string, args: readonly string[], signal?: AbortSignal) => Promise<string | undefined>;

export const runCommand: CommandRunner = (command, args, signal) =>
  new Promise((resolve) => {
    const options = { timeout: 20_000, maxBuffer: 16 << 20, env: { ...process.env, LC_ALL: 'C' }, ...(signal ? { signal } : {}) };
    execFile(command, [...args], options, (error, stdout) => resolve(error ? undefined : stdout));
  });

/**
 * The proxies for requests to `hostName`: apt's settings (apt-transport-http(1): `Acquire::http::Proxy::HOST`, then
 * `Acquire::http::Proxy`; `DIRECT` means none), then the environment's.
 */
export async function discoverProxies(
  hostName: string,
  environment: NodeJS.ProcessEnv,
  run: CommandRunner,
  signal?: AbortSignal,
): Promise<ProxySettings> {
  const dump = (await run('apt-config', ['dump'], signal)) ?? '';
  const settings = new Map<string, string>();
  for (const match of dump.matchAll(/^([\w:.-]+) "(.*)";$/gm)) settings.set(match[1]!.toLowerCase(), match[2]!);
  const fromApt = (scheme: string): string | undefined => {
    const base = `acquire::${scheme}::proxy`;
    return settings.get(`${base}::${hostName.toLowerCase()}`) || settings.get(base) || undefined;
  };
  const fromEnvironment = (name: string): string | undefined => environment[name] || environment[name.toUpperCase()] || undefined;
  const pick = (scheme: string): string | undefined => {
    const named = fromApt(scheme) ?? (scheme === 'https' ? fromApt('http') : undefined);
    return named === undefined ? fromEnvironment(`${scheme}_proxy`) : named === 'DIRECT' ? undefined : named;
  };
  return { http_proxy: pick('http'), https_proxy: pick('https'), no_proxy: fromEnvironment('no_proxy') };
}
