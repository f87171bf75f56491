/** One named test of a guest, and what failed in it. */
export interface TestReport {
  readonly name: string;
  readonly failures: readonly string[];
}

/** What a guest said by way of its report port (guests/report.inc). */
export interface GuestReport {
  readonly tests: readonly TestReport[];
  /** Undefined after the guest's own end; else why it ended early, in the last test. */
  readonly ended: string | undefined;
}

const hexadecimal = (high: string, low: string) => `0x${BigInt(`0x${high}${low}`).toString(16)}`;

function describe(line: string): string | undefined {
  const [kind, ...words] = line.trim().split(/\s+/);
  if (kind === 'F' && words.length === 5) {
    const [at, ...values] = words as [string, string, string, string, string];
    return `line ${Number.parseInt(at, 16)}: got ${hexadecimal(values[0], values[1])}, want ${hexadecimal(values[2], values[3])}`;
  }
  if (kind === 'F' && words.length === 3) return `line ${Number.parseInt(words[0]!, 16)}: got ${hexadecimal('', words[1]!)}, want ${hexadecimal('', words[2]!)}`;
  if (kind === 'X') return `unexpected exception ${Number.parseInt(words[0]!, 16)}, error code 0x${words[1]!.replace(/^0+(?=.)/, '')}, at 0x${words.slice(2).join('').replace(/^0+(?=.)/, '')}`;
  return undefined;
}

/** Parses a report; `outcome` says how the machine ended. */
export function parseReport(text: string, outcome: string): GuestReport {
  const tests: { name: string; failures: string[] }[] = [];
  let complete = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('T ')) tests.push({ name: line.slice(2), failures: [] });
    else if (line === 'E') complete = true;
    else {
      const failure = describe(line);
      if (failure) (tests.at(-1) ?? tests[tests.push({ name: 'start', failures: [] }) - 1]!).failures.push(failure);
    }
  }
  return { tests, ended: complete ? undefined : outcome };
}
