/** One bar: how many times as long as native speed an engine takes. */
export interface Bar {
  readonly label: string;
  readonly slowdown: number;
}

/** Bars of one column of workloads, an engine each. */
export interface BarGroup {
  readonly title: string;
  readonly bars: readonly Bar[];
}

/** The last bar of a group is ours. */
const COLORS = { others: ['#9aa5b1', '#b7791f', '#6b7fa8'], ours: '#2f6f4f' } as const;
const SIZE = { bar: 16, gap: 14, labels: 90, plot: 520, values: 70, top: 34 } as const;

/** A bar chart of slowdowns on a logarithmic scale, as SVG. */
export function slowdownChart(title: string, groups: readonly BarGroup[]): string {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ slowdown }) => slowdown)));
  const decades = Math.ceil(Math.log10(most));
  const x = (slowdown: number) => SIZE.labels + (Math.log10(Math.max(1, slowdown)) / decades) * SIZE.plot;
  const groupHeight = groups[0]!.bars.length * SIZE.bar + SIZE.gap;
  const height = SIZE.top + groups.length * groupHeight + 30;
  const width = SIZE.labels + SIZE.plot + SIZE.values;
  const parts: string[] = [];
  for (let decade = 0; decade <= decades; decade++) {
    const at = x(10 ** decade).toFixed(1);
    parts.push(`<line x1="${at}" y1="${SIZE.top}" x2="${at}" y2="${height - 26}" stroke="#ddd"/>`, text(Number(at), height - 10, `${10 ** decade}x`, 'middle'));
  }
  groups.forEach(({ title: name, bars }, group) => {
    const top = SIZE.top + group * groupHeight + SIZE.gap / 2;
    parts.push(text(SIZE.labels - 8, top + (bars.length * SIZE.bar) / 2 + 4, name, 'end'));
    bars.forEach(({ label, slowdown }, bar) => {
      const y = top + bar * SIZE.bar;
      parts.push(`<rect x="${SIZE.labels}" y="${y}" width="${(x(slowdown) - SIZE.labels).toFixed(1)}" height="${SIZE.bar - 3}" fill="${bar === bars.length - 1 ? COLORS.ours : COLORS.others[bar % COLORS.others.length]}"/>`);
      parts.push(text(x(slowdown) + 5, y + SIZE.bar - 5, `${slowdown.toFixed(1)} ${label}`, 'start'));
    });
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="#fff"/>\n${text(SIZE.labels, 18, title, 'start')}\n${parts.join('\n')}\n</svg>\n`;
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
}
