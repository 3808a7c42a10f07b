// A gateway that does not exist: its peers, what passes, what goes wrong.

import { createHash } from "node:crypto";
import { key, pick, random } from "./random.mjs";

const NAMES = ["anna", "ben", "chiara", "dmitri", "elif", "farid", "grete", "hugo", "ines", "jonas", "kemal", "lena", "marek", "nadia", "olu", "pia", "quentin", "rosa", "sven", "tariq", "uma", "vera", "wim", "xenia", "yuki", "zoe"];
const DEVICES = ["phone", "laptop", "tablet", "desktop", "router"];
const GROUPS = ["staff", "engineering", "field", "sites", "guests", "contractors"];
const SHARDS = 2;

export const iso = (ms) => new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");

export function makeWorld({ peers, fresh }) {
  const next = random(7);
  const now = Date.now();
  const world = {
    next,
    startedAt: now - 5 * 86_400_000 - 3 * 3_600_000,
    revision: 1840,
    dataplane: true,
    publicKey: key(next),
    peers: new Map(),
    rules: [],
    users: new Map(),
    tokens: new Map(),
    sessions: new Map(),
    failures: [],
    settings: { session_hours: 12, session_idle_minutes: 60, alerts: { peer_gone_s: 180, refused_handshakes_per_minute: 60, cookie_replies_per_minute: 600, decrypt_failures_per_minute: 600, drops_per_mille: 10 }, metrics_names: "12177" },
    changes: new Map(),
    audit: [],
    throughput: [],
    shards: [],
    alerts: [],
    listeners: new Set(),
    answers: new Map(),
    nextHost: 2,
    turn: 0,
  };
  world.users.set("admin", { name: "admin", role: "administrator", disabled: false, must_change_password: fresh, created_at: iso(now - 40 * 86_400_000), last_login_at: null, password: "first-password" });
  world.users.set("olga", { name: "olga", role: "operator", disabled: false, must_change_password: false, created_at: iso(now - 30 * 86_400_000), last_login_at: iso(now - 4 * 3_600_000), password: "operator-password" });
  world.users.set("viktor", { name: "viktor", role: "viewer", disabled: false, must_change_password: false, created_at: iso(now - 9 * 86_400_000), last_login_at: null, password: "viewer-password" });
  world.log = (actor, source, action, target, before = null, after = null, at = Date.now()) => log(world, { at: iso(at), actor, source, action, target, before, after });
  addTokens(world, now);
  addPeers(world, peers, now);
  addRules(world);
  addPast(world, now);
  world.advance = () => advance(world);
  return world;
}

function addTokens(world, now) {
  const add = (name, role, scopes, ends) => world.tokens.set(`tok-${name}`, { id: `tok-${name}`, name, role, scopes, created_at: iso(now - 20 * 86_400_000), created_by: "user:admin", expires_at: ends, last_used_at: iso(now - 40_000) });
  add("prometheus", "viewer", ["metrics:read"], iso(now + 9 * 86_400_000));
  add("provisioning", "operator", ["peers:read", "peers:write", "rules:read"], iso(now + 200 * 86_400_000));
}

function addPeers(world, count, now) {
  for (let i = 0; i < count; i++) addPeer(world, i, now);
}

/** Adds peer number `i` of the made-up ones. */
function addPeer(world, i, now) {
  const { next } = world;
  const public_key = key(next);
  const person = NAMES[i % NAMES.length];
  const round = Math.floor(i / NAMES.length);
  const file = i < 2;
  const name = file ? ["hq-router", "backup-site"][i] : i === 7 ? null : `${person}-${DEVICES[round % DEVICES.length]}${round >= DEVICES.length ? `-${Math.floor(round / DEVICES.length) + 1}` : ""}`;
  const group = file ? "sites" : pick(next, GROUPS);
  const roll = next();
  const state = file || roll < 0.62 ? "connected" : roll < 0.66 ? "rekeying" : roll < 0.7 ? "handshaking" : roll < 0.8 ? "init" : "disconnected";
  const up = state === "connected" || state === "rekeying";
  const host = world.nextHost++;
  const disabled = !file && i % 23 === 11;
  const expired = !file && i % 31 === 17;
  const peer = {
    public_key,
    name,
    groups: i % 9 === 4 ? [] : i % 13 === 5 ? [group, "vip"] : [group],
    allowed_ips: file ? [`10.9.${(host >> 8) & 255}.${host & 255}/32`, `192.168.${10 + i}.0/24`] : [`10.9.${(host >> 8) & 255}.${host & 255}/32`, `fd00:9::${host.toString(16)}/128`],
    endpoint: file ? `site${i}.example.org:51820` : null,
    persistent_keepalive: file ? 25 : null,
    has_preshared_key: i % 3 !== 0,
    disabled,
    expires_at: expired ? iso(now - 86_400_000) : i % 19 === 6 ? iso(now + 6 * 86_400_000) : null,
    notes: i % 11 === 3 ? "Loaned device, back at the end of the quarter." : "",
    owner: file ? "file" : "control",
    created_at: file ? null : iso(now - next() * 90 * 86_400_000),
    updated_at: file ? null : iso(now - next() * 3 * 86_400_000),
    conflict: i === 12 ? `weir.toml declares this key too, as peer "old-laptop"; the declaration in weir.toml is in force.` : null,
    live: {
      state: disabled || expired || i === 12 ? "absent" : state,
      state_since: iso(now - next() * 7_200_000),
      state_reason: REASONS[state],
      health: disabled || expired || i === 12 ? "absent" : up ? (i % 29 === 20 ? "degraded" : "healthy") : state === "disconnected" ? "degraded" : "idle",
      trouble: up && i % 29 === 20 ? "Packets arrive, but none larger than 1280 B." : null,
      endpoint: up ? `203.0.113.${1 + (i % 250)}:${40_000 + (i % 20_000)}` : null,
      last_handshake_at: up ? iso(now - next() * 118_000) : state === "disconnected" ? iso(now - 200_000 - next() * 9e7) : null,
      rx_bytes: up ? Math.floor(next() ** 3 * 4e9) : 0,
      tx_bytes: up ? Math.floor(next() ** 3 * 1.6e10) : 0,
      rx_bytes_total: 0,
      tx_bytes_total: 0,
      latency_ms: up ? 3 + next() * 80 : null,
      handshake_ms: up ? 4 + next() * 90 : null,
      shard: up ? i % SHARDS : null,
    },
    rate: up && next() < 0.4 ? { rx: next() ** 4 * 6e6, tx: next() ** 4 * 3e7 } : { rx: 0, tx: 0 },
    etag: 1,
  };
  peer.live.rx_bytes_total = peer.live.rx_bytes + (up ? Math.floor(next() * 9e9) : 0);
  peer.live.tx_bytes_total = peer.live.tx_bytes + (up ? Math.floor(next() * 3e10) : 0);
  world.peers.set(public_key, peer);
}

export const REASONS = {
  init: "nothing was tried yet",
  handshaking: "an initiation was sent and is not answered yet",
  connected: "a handshake completed",
  rekeying: "the session is two minutes old, the next is being made",
  disconnected: "no answer to twenty initiations in 90 s",
  absent: "it is kept out of the data plane",
};

function addRules(world) {
  const someone = [...world.peers.values()].find((peer) => peer.name?.startsWith("grete"));
  const rule = (owner, name, action, from, to, protocol = null, ports = [], log = false, packets = 0) => world.rules.push({ name, action, from, to, protocol, ports, log, owner, packets });
  rule("file", "sites reach everything", "accept", ["group:sites"], [], null, [], false, 182_331);
  rule("control", "guests only browse", "accept", ["group:guests"], ["0.0.0.0/0"], "tcp", ["80", "443"], false, 90_120);
  rule("control", "guests see nothing inside", "deny", ["group:guests"], ["10.0.0.0/8", "192.168.0.0/16"], null, [], true, 1204);
  if (someone) rule("control", "database for grete", "accept", [`peer:${someone.public_key}`], ["10.20.0.5/32"], "tcp", ["5432"], false, 44);
  rule("control", "no database for others", "deny", [], ["10.20.0.5/32"], "tcp", ["5432"], true, 17);
}

function addPast(world, now) {
  const { next } = world;
  for (let s = 0; s < SHARDS; s++) {
    world.shards.push({
      shard: s,
      active_peers: 0,
      under_load: false,
      opened: 81_000_000 + s * 1_000_000,
      sealed: 203_000_000 + s * 2_000_000,
      handed_over: 44_120_500,
      handshakes: 20_114 + s,
      cookie_replies: s === 0 ? 312 : 0,
      drops: s === 0 ? { bad_mac1: 1841, unknown_peer: 266, replayed: 92, rule_denied: 1221, no_endpoint: 310 } : { bad_mac1: 1702, source_not_allowed: 4, rule_denied: 904, too_large: 33 },
      ports: [
        { shard: s, role: "wan", queue: `eth1 queue ${s}`, mode: s === 0 ? "AF_XDP zero-copy" : "AF_XDP copy (driver)", rx_frames: 9e7, rx_bytes: 8.1e10, tx_packets: 2.1e8, tx_bytes: 2.4e11, errors: {} },
        { shard: s, role: "host", queue: null, mode: "TUN with offloads", rx_frames: 7e7, rx_bytes: 6e10, tx_packets: 9e7, tx_bytes: 8e10, errors: s === 1 ? { tx_busy: 12 } : {} },
      ],
    });
  }
  for (let s = 300; s > 0; s--) world.throughput.push(point(world, Math.floor(now / 1000) - s));
  const peer = [...world.peers.values()].find((one) => one.live.state === "disconnected" && one.name);
  world.alerts.push({ id: "token_expiry:prometheus", severity: "info", kind: "token_expiring", since: iso(now - 5 * 86_400_000), summary: "The token prometheus ends in 9 days", detail: "Programs that use it are refused from then on.", remedy: "Make a new token and replace it in Prometheus.", public_key: null });
  if (peer) world.alerts.push({ id: `gone:${peer.public_key}`, severity: "warning", kind: "peer_gone", since: iso(now - 900_000), summary: `${peer.name} is gone`, detail: "It was connected, and no authenticated packet arrived for 180 s.", remedy: "Ask why on its page; its device may simply sleep.", public_key: peer.public_key });
  world.refused = [
    { at: iso(now - 65_000), source: "198.51.100.23:51820", why: "unknown_peer", peer: key(next), count: 14 },
    { at: iso(now - 900_000), source: "192.0.2.77:40211", why: "wrong_mac1", peer: null, count: 3 },
  ];
  let n = 0;
  for (const one of [...world.peers.values()].filter((p) => p.owner === "control").slice(0, 70)) world.log(n++ % 5 === 0 ? "wg" : "user:olga", n % 5 === 1 ? "" : "192.0.2.10", "peer.create", `peer/${one.public_key}`, null, { name: one.name, groups: one.groups, allowed_ips: one.allowed_ips }, now - (90 - n) * 3_600_000);
  world.log("user:admin", "192.0.2.4", "rules.replace", "rules", { items: 3 }, { items: 4 }, now - 7_000_000);
  world.log("user:mallory", "203.0.113.9", "login.refused", "user/mallory", null, null, now - 600_000);
}

function log(world, entry) {
  const number = world.audit.length + 1;
  const before = world.audit.at(-1)?.hash ?? "";
  world.audit.push({ number, ...entry, hash: createHash("sha256").update(before + JSON.stringify(entry)).digest("hex") });
}

function point(world, unix) {
  const { next } = world;
  const wave = 1 + 0.35 * Math.sin(unix / 37) + 0.15 * Math.sin(unix / 7) + 0.1 * next();
  const rx = Math.floor(2.1e8 * wave);
  const tx = Math.floor(7.4e8 * wave * (0.9 + 0.2 * next()));
  return [unix, rx, tx, Math.floor(rx / 4200), Math.floor(tx / 9100), next() < 0.3 ? Math.ceil(next() * 4) : 0, next() < 0.12 ? Math.ceil(next() * 30) : 0];
}

/** One second passes. */
function advance(world) {
  world.turn += 1;
  const at = Math.floor(Date.now() / 1000);
  const now = world.dataplane ? point(world, at) : [at, 0, 0, 0, 0, 0, 0];
  world.throughput.push(now);
  if (world.throughput.length > 300) world.throughput.shift();
  if (!world.dataplane) return;
  for (const shard of world.shards) {
    shard.opened += Math.floor(now[3] / SHARDS);
    shard.sealed += Math.floor(now[4] / SHARDS);
    shard.handshakes += now[5];
    shard.drops.bad_mac1 += now[6];
    for (const port of shard.ports) {
      port.rx_bytes += Math.floor(now[1] / 8 / SHARDS);
      port.tx_bytes += Math.floor(now[2] / 8 / SHARDS);
      port.rx_frames += Math.floor(now[3] / SHARDS);
      port.tx_packets += Math.floor(now[4] / SHARDS);
    }
  }
  for (const peer of world.peers.values()) {
    if (peer.rate.rx + peer.rate.tx === 0) continue;
    const wave = 0.6 + 0.8 * world.next();
    const rx = Math.floor(peer.rate.rx * wave);
    const tx = Math.floor(peer.rate.tx * wave);
    peer.live.rx_bytes += rx;
    peer.live.rx_bytes_total += rx;
    peer.live.tx_bytes += tx;
    peer.live.tx_bytes_total += tx;
  }
}

export function counts(world) {
  const found = { total: world.peers.size, connected: 0, handshaking: 0, disconnected: 0, absent: 0, degraded: 0 };
  for (const { live } of world.peers.values()) {
    const state = world.dataplane ? live.state : "absent";
    if (state === "connected" || state === "rekeying") found.connected += 1;
    else if (state === "handshaking") found.handshaking += 1;
    else if (state === "absent") found.absent += 1;
    else found.disconnected += 1;
    if (live.health === "degraded") found.degraded += 1;
  }
  return found;
}
