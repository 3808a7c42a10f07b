// What things are called.

import type { Peer } from "../api/types";

/** What a peer is called: its name, or the beginning of its key. */
export function called(peer: Pick<Peer, "name" | "public_key">): string {
  return peer.name ?? `${peer.public_key.slice(0, 10)}…`;
}

/** Texts of a field that holds several, apart by commas, spaces or lines. */
export function listed(text: string, separator = /[\s,;]+/): string[] {
  return [...new Set(text.split(separator).map((item) => item.trim()).filter(Boolean))];
}
