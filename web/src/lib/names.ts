// What things are called.

import type { Peer } from "../api/types";

/** What a peer is called: its name, or the beginning of its key. */
export function called(peer: Pick<Peer, "name" | "public_key">): string {
  return peer.name ?? `${peer.public_key.slice(0, 10)}…`;
}

/** Where a difference is, in words: `/peers/KEY/allowed_ips` (a JSON pointer, RFC 6901) is `anna-phone ›
 * allowed ips`. */
export function placeOf(pointer: string, names: ReadonlyMap<string, string> = new Map()): string {
  const parts = pointer.split("/").slice(1).map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"));
  const [first = "", second = "", ...rest] = parts;
  if (first === "peers" && second) return [names.get(second) ?? second, ...rest.map((part) => part.replace(/_/g, " "))].join(" › ");
  if (first === "rules" && /^\d+$/.test(second)) return [`rule ${Number(second) + 1}`, ...rest].join(" › ");
  return parts.join(" › ") || pointer;
}

/** Texts of a field that holds several, apart by commas, spaces or lines. */
export function listed(text: string, separator = /[\s,;]+/): string[] {
  return [...new Set(text.split(separator).map((item) => item.trim()).filter(Boolean))];
}
