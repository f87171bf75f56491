import { readFileSync } from 'node:fs';

function lineOf(name: string): string {
  return new RegExp(`^${name}\\s*:(.*)$`, 'm').exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim() ?? '';
}

/** CPUID features of the host's processor as Linux names them. */
export function hostFlags(): ReadonlySet<string> {
  return new Set(lineOf('flags').split(/\s+/));
}

/** Whether AMD made the host's processor. */
export function hostIsAmd(): boolean {
  return /^(AuthenticAMD|HygonGenuine)$/.test(lineOf('vendor_id'));
}
