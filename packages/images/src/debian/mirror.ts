import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ImageError } from '../image-error.ts';
import type { CommandRunner } from '../proxy.ts';

const HOW_TO_NAME = 'name one with HANOK_DEBIAN_MIRROR (an http, https or file URL, or a directory: the one that holds dists/ and pool/)';

/** Where apt's own configuration says that packages come from, in its order. */
async function configuredByApt(run: CommandRunner, signal?: AbortSignal): Promise<URL[]> {
  const output = await run('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'], signal);
  const lines = new Set((output ?? '').split('\n').map((line) => line.trim()));
  return [...lines].filter((line) => URL.canParse(line)).map(withSlash).filter((url) => /^(https?|file):$/.test(url.protocol));
}

function withSlash(text: string): URL {
  const url = new URL(text);
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

function parseMirror(text: string): URL {
  if (isAbsolute(text)) return withSlash(pathToFileURL(text).href);
  const url = URL.canParse(text) ? withSlash(text) : undefined;
  if (url && /^(https?|file):$/.test(url.protocol)) return url;
  throw new ImageError(`"${text}" is not a Debian mirror: ${HOW_TO_NAME}`);
}

/**
 * The mirrors that may hold Debian's main archive, best first: the one the caller names, else HANOK_DEBIAN_MIRROR,
 * else those that apt on this computer uses. No mirror is built in.
 */
export async function candidateMirrors(
  named: string | undefined,
  environment: NodeJS.ProcessEnv,
  run: CommandRunner,
  signal?: AbortSignal,
): Promise<URL[]> {
  const text = named || environment['HANOK_DEBIAN_MIRROR'];
  if (text) return [parseMirror(text)];
  const configured = await configuredByApt(run, signal);
  if (configured.length > 0) return configured;
  throw new ImageError(`this computer's apt names no Debian mirror: ${HOW_TO_NAME}`);
}
