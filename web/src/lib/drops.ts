// Why packets are dropped, in words for people: the reasons of weir_abi::drops. A reason that is not here is shown by
// its name.

const HELP: Record<string, string> = {
  malformed: "Datagram is no WireGuard message.",
  bad_mac1: "Handshake made for another public key.",
  no_identity: "Handshake while the interface has no private key.",
  under_load: "Handshake above the ceiling for unproved sources.",
  source_limited: "Handshake above the limit of its source.",
  quarantined: "Handshake of a source whose handshakes kept failing.",
  cookie_demanded: "Handshake answered with a cookie.",
  worker_full: "Handshake while the worker's queue was full.",
  bad_handshake: "Handshake that fails authentication.",
  unknown_peer: "Handshake of a key that is no peer's.",
  old_timestamp: "Handshake whose timestamp is not newer than the last.",
  too_many_initiations: "Handshakes of one peer too close together.",
  unknown_index: "Message of no known session.",
  bad_cookie: "Cookie that fails authentication.",
  expired: "Data of a session past its time.",
  replayed: "Data that was seen before or is too old.",
  bad_tag: "Data that fails authentication.",
  inner_malformed: "Decrypted packet is no IP packet.",
  source_not_allowed: "Sender's address is not among its allowed IPs.",
  rule_denied: "Denied by an access rule.",
  ecn_invalid: "Congestion marks that cannot be carried.",
  no_route: "Destination is no peer's.",
  no_endpoint: "Peer's endpoint is not known.",
  not_ip: "Packet of this host that is no IP packet.",
  too_large: "Larger than the tunnel's MTU.",
  queue_full: "Pushed out while waiting for a handshake.",
  handshake_failed: "The awaited handshake did not come to be.",
  handoff_full: "The other shard's ring was full.",
  handoff_loop: "Handed from shard to shard too often.",
  no_frame: "The sending port had no free frame.",
  peer_removed: "The peer was removed meanwhile.",
};

/** What a reason means. */
export const dropHelp = (reason: string): string => HELP[reason] ?? "";

/** A reason as words: `bad_mac1` is read better as `bad mac1`. */
export const dropWord = (reason: string): string => reason.replace(/_/g, " ");

/** Drops by reason of several shards: the reasons, the most frequent first, each with one count for each shard. */
export function dropMatrix(shards: readonly { drops: Record<string, number> }[]): { reason: string; counts: number[]; total: number }[] {
  const reasons = new Set(shards.flatMap((shard) => Object.keys(shard.drops)));
  return [...reasons]
    .map((reason) => {
      const counts = shards.map((shard) => shard.drops[reason] ?? 0);
      return { reason, counts, total: counts.reduce((sum, value) => sum + value, 0) };
    })
    .filter((row) => row.total > 0)
    .sort((a, b) => b.total - a.total);
}
