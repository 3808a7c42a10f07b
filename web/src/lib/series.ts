// Values over time, by column, as charts take them.

/** Columns of equal length; the first is seconds since 1970. */
export type Series = (number | null)[][];

/** A series with one more row, rows older than `keepS` before it left out. A second already there is replaced. */
export function appended(series: Series, row: number[], keepS: number): Series {
  const times = series[0] ?? [];
  const at = row[0] ?? 0;
  let from = 0;
  while (from < times.length && (times[from] ?? 0) <= at - keepS) from += 1;
  let to = times.length;
  while (to > from && (times[to - 1] ?? 0) >= at) to -= 1;
  return row.map((value, column) => [...(series[column] ?? []).slice(from, to), value]);
}

/** Rates a second of counters that only rise; a counter that fell began anew and says nothing for one step. */
export function rate(before: number | undefined, after: number, seconds: number): number | null {
  if (before === undefined || after < before || seconds <= 0) return null;
  return (after - before) / seconds;
}

/** A history's columns as rates, with a gap where steps are missing. */
export function historyRates(points: readonly (readonly number[])[], stepS: number): Series {
  const series: Series = [[], [], [], []];
  let last: number | null = null;
  for (const point of points) {
    const at = point[0] ?? 0;
    if (last !== null && at - last > stepS * 1.5) {
      series[0]?.push(last + stepS);
      for (const column of [1, 2, 3]) series[column]?.push(null);
    }
    series[0]?.push(at);
    series[1]?.push(((point[1] ?? 0) * 8) / stepS);
    series[2]?.push(((point[2] ?? 0) * 8) / stepS);
    series[3]?.push(point[3] ?? 0);
    last = at;
  }
  return series;
}
