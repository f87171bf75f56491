/** The table of `--trace exits`: what made the vCPU leave guest code, how often, and how often for its work. */
export function exitTable(counts: readonly { readonly kind: string; readonly count: number }[], instructionCount: number): string {
  const rows = [...counts].filter(({ count }) => count > 0).sort((a, b) => b.count - a.count || a.kind.localeCompare(b.kind));
  const perMillion = (count: number) => (instructionCount > 0 ? ((count / instructionCount) * 1e6).toFixed(1) : '-');
  const total = rows.reduce((sum, { count }) => sum + count, 0);
  const cells = [['exit', 'count', 'per million instructions'], ...rows.map(({ kind, count }) => [kind, String(count), perMillion(count)])];
  cells.push(['all', String(total), perMillion(total)]);
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map(([kind = '', count = '', share = '']) =>
    [kind.padEnd(widths[0] ?? 0), count.padStart(widths[1] ?? 0), share.padStart(widths[2] ?? 0)].join('  '),
  );
  return `${lines.join('\n')}\n${instructionCount} instructions\n`;
}
