// Numbers with their units and times for people. Pure: the present is an argument.

const SI = ["", "k", "M", "G", "T", "P"];

/** Three significant digits and an SI prefix, such as `1.24` and `G`. */
export function scaled(value: number): { digits: string; prefix: string } {
  let size = Math.abs(value);
  let step = 0;
  while (size >= 999.5 && step < SI.length - 1) {
    size /= 1000;
    step += 1;
  }
  const places = step === 0 && Number.isInteger(size) ? 0 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  const digits = size === 0 ? "0" : size.toFixed(places);
  return { digits: value < 0 ? `−${digits}` : digits, prefix: SI[step] ?? "" };
}

function withUnit(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const { digits, prefix } = scaled(value);
  return `${digits} ${prefix}${unit}`;
}

/** Bits a second. */
export const bitRate = (bps: number | null | undefined): string => withUnit(bps, "b/s");
/** Packets a second. */
export const packetRate = (pps: number | null | undefined): string => withUnit(pps, "pkt/s");
/** Bytes, decimal. */
export const bytes = (n: number | null | undefined): string => withUnit(n, "B");

/** A whole number with its thousands apart. */
export function count(n: number | null | undefined): string {
  if (n === null || n === undefined) return "–";
  return Math.round(n).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** A number that need not be exact: `950`, `12.3 k`. */
export function compact(n: number): string {
  if (Math.abs(n) < 10_000 && Number.isInteger(n)) return count(n);
  const { digits, prefix } = scaled(n);
  return prefix ? `${digits} ${prefix}` : digits;
}

/** `one peer`, `3 peers`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Milliseconds, finer below ten. */
export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  return ms < 1 ? `${Math.round(ms * 1000)} µs` : ms < 9.95 ? `${ms.toFixed(1)} ms` : `${count(ms)} ms`;
}

const SPANS: [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** A span in its two largest units: `2 d 4 h`, `3 min 20 s`. */
export function span(seconds: number): string {
  let rest = Math.max(0, Math.floor(seconds));
  const parts: string[] = [];
  for (const [size, unit] of SPANS) {
    if (rest < size && !(unit === "s" && parts.length === 0)) {
      if (parts.length > 0) break;
      continue;
    }
    parts.push(`${Math.floor(rest / size)} ${unit}`);
    rest %= size;
    if (parts.length === 2 || rest === 0) break;
  }
  return parts.join(" ");
}

/** A span in its one largest unit. */
export function shortSpan(seconds: number): string {
  return span(seconds).split(" ").slice(0, 2).join(" ");
}

/** How long ago or ahead a time is: `3 min ago`, `in 2 d`. */
export function relative(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  if (Math.abs(seconds) < 2) return "now";
  return seconds > 0 ? `${shortSpan(seconds)} ago` : `in ${shortSpan(-seconds)}`;
}

/** A time in full, in UTC as the audit log has it. */
export function exact(at: number): string {
  const iso = new Date(at).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}

/** Milliseconds since 1970 of an RFC 3339 time; null where there is none. */
export function instant(text: string | null | undefined): number | null {
  if (!text) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : at;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A mark on a chart's axis of time, in this browser's zone: as fine as the steps between marks. */
export function axisTime(unixS: number, stepS: number): string {
  const at = new Date(unixS * 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  const midnight = at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0;
  if (stepS >= 86_400 || (midnight && stepS >= 3_600)) return `${at.getDate()} ${MONTHS[at.getMonth()] ?? ""}`;
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return stepS < 60 ? `${clock}:${two(at.getSeconds())}` : clock;
}

/** Minutes and seconds of a countdown: `0:42`. */
export function countdown(seconds: number): string {
  const rest = Math.max(0, Math.floor(seconds));
  return `${Math.floor(rest / 60)}:${String(rest % 60).padStart(2, "0")}`;
}
