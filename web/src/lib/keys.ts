// Public keys, as the API writes them and as an address can carry them.

/** A key in base64 as a path segment: base64url without padding. */
export function keyToPath(key: string): string {
  return key.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** The key of a path segment, in base64. */
export function keyFromPath(segment: string): string {
  const plain = segment.replace(/-/g, "+").replace(/_/g, "/").replace(/=+$/, "");
  return plain + "=".repeat((4 - (plain.length % 4)) % 4);
}

/** Whether a text is a key: 32 bytes in base64. */
export function isKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text);
}

/** The first characters of a key, for where the whole does not fit. */
export function shortKey(key: string): string {
  return `${key.slice(0, 8)}…`;
}
