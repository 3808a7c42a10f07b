// Times in forms: what a field for local time holds, and what the API takes.

/** What a `datetime-local` field shows for an RFC 3339 time. */
export function toLocal(time: string | null): string {
  if (!time) return "";
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return "";
  const part = (n: number) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${part(at.getMonth() + 1)}-${part(at.getDate())}T${part(at.getHours())}:${part(at.getMinutes())}`;
}

/** The RFC 3339 time in UTC of what such a field holds; null where it is empty. */
export function fromLocal(value: string): string | null {
  if (!value) return null;
  const at = new Date(value);
  return Number.isNaN(at.getTime()) ? null : at.toISOString().replace(/\.\d{3}Z$/, "Z");
}

/** The RFC 3339 time some days from a present. */
export function daysFrom(now: number, days: number): string {
  return new Date(now + days * 86_400_000).toISOString().replace(/\.\d{3}Z$/, "Z");
}
