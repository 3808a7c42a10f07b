// The routes under /v1.

import { createHash } from "node:crypto";
import { callerOf, session } from "./auth.mjs";
import { administration } from "./administration.mjs";
import { bodyOf, invalid, Refused, send } from "./http.mjs";
import { peers } from "./peers.mjs";
import { openStream } from "./stream.mjs";
import { counts, iso } from "./world.mjs";
import { changed } from "./changes.mjs";

const fromPath = (text) => Buffer.from(text.replace(/-/g, "+").replace(/_/g, "/"), "base64").toString("base64");

export async function api(world, request, response, url) {
  const parts = url.pathname.slice(4).split("/").map(decodeURIComponent);
  const call = { world, request, response, query: url.searchParams, method: request.method, parts };
  call.may = (scope) => (call.caller = callerOf(world, request, scope));
  switch (parts[0]) {
    case "session":
      return session(world, request, response);
    case "events":
      call.may("events:read");
      return openStream(world, request, response, url.searchParams.get("peer"));
    case "peers":
      return peers(call, parts[1] && parts[1] !== "bulk" ? fromPath(parts[1]) : null);
    case "groups":
      call.may("peers:read");
      return send(response, 200, { items: groups(world) });
    case "rules":
      return rules(call);
    case "status":
      call.may("status:read");
      return send(response, 200, status(world));
    case "throughput":
      call.may("status:read");
      return send(response, 200, { step_s: 1, points: world.throughput });
    case "alerts":
      call.may("status:read");
      return send(response, 200, { items: world.alerts });
    case "topology":
      call.may("status:read");
      return send(response, 200, topology(world));
    default:
      return administration(call);
  }
}

function groups(world) {
  const found = new Map();
  for (const peer of world.peers.values()) for (const group of peer.groups) found.set(group, (found.get(group) ?? 0) + 1);
  return [...found].map(([name, n]) => ({ name, peers: n })).sort((a, b) => a.name.localeCompare(b.name));
}

function status(world) {
  for (const shard of world.shards) shard.active_peers = [...world.peers.values()].filter((peer) => peer.live.shard === shard.shard).length;
  return {
    control: { version: "0.5.0", started_at: iso(world.startedAt + 9000), store: "ok", store_trouble: null, pending: world.dataplane ? 0 : 2 },
    dataplane: world.dataplane
      ? {
          interface: "wg0",
          version: "0.5.0",
          pid: 4711,
          started_at: iso(world.startedAt),
          revision: world.revision,
          public_key: world.publicKey,
          listen_port: 51820,
          fwmark: 0,
          mtu: 1420,
          addresses: ["10.9.0.1/16", "fd00:9::1/64"],
          client_endpoint: "vpn.example.org:51820",
          dns: ["10.9.0.1"],
          aead: "avx2",
          aead_best: "avx512",
          steering: "ebpf",
          forwarding: true,
          warnings: ["eth1 queue 1 runs in copy mode: the driver offers zero-copy on one queue only.", "The AEAD back end avx512 was not chosen: weir.toml asks for avx2."],
          handshake_queue: 0,
          shards: world.shards,
          refused: world.refused,
        }
      : null,
    peers: counts(world),
    alerts: world.alerts.length,
  };
}

function topology(world) {
  const nodes = [{ id: "gateway", kind: "gateway", label: "wg0", public_key: world.publicKey, state: null, groups: [] }];
  const links = [];
  for (const peer of [...world.peers.values()].slice(0, 2000)) {
    nodes.push({ id: peer.public_key, kind: "peer", label: peer.name ?? `${peer.public_key.slice(0, 10)}…`, public_key: peer.public_key, state: peer.live.state, groups: peer.groups });
    links.push({ from: "gateway", to: peer.public_key, endpoint: peer.live.endpoint, rx_bps: Math.floor(peer.rate.rx * 8), tx_bps: Math.floor(peer.rate.tx * 8), latency_ms: peer.live.latency_ms });
    for (const network of peer.allowed_ips.slice(1).filter((ip) => !/\/(32|128)$/.test(ip))) {
      nodes.push({ id: `${peer.public_key} ${network}`, kind: "network", label: network, public_key: null, state: null, groups: [] });
      links.push({ from: peer.public_key, to: `${peer.public_key} ${network}`, endpoint: null, rx_bps: 0, tx_bps: 0, latency_ms: null });
    }
  }
  return { nodes, links, left_out: Math.max(0, world.peers.size - 2000) };
}

const version = (value) => `"${createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16)}"`;
const asked = ({ packets: _, ...rule }) => rule;

async function rules(call) {
  const { world, request, response, method } = call;
  const etag = () => version(world.rules.map(asked));
  if (method === "GET") {
    call.may("rules:read");
    return send(response, 200, { items: world.rules }, { ETag: etag() });
  }
  const who = call.may("rules:write");
  const { items = [] } = await bodyOf(request);
  if (request.headers["if-match"] && request.headers["if-match"] !== etag()) throw new Refused(412, "It changed meanwhile", "the rules changed meanwhile");
  const expected = "\"peer:KEY\" or \"group:NAME\"";
  items.forEach((rule, i) => {
    rule.from.forEach((end, j) => {
      if (!/^(peer:[A-Za-z0-9+/]{43}=|group:.+)$/.test(end)) throw invalid(`items[${i}].from[${j}]`, end, expected);
    });
    rule.to.forEach((end, j) => {
      if (!/^(peer:[A-Za-z0-9+/]{43}=|group:.+|[0-9a-f:.]+(\/\d+)?)$/.test(end)) throw invalid(`items[${i}].to[${j}]`, end, `a network such as 10.0.0.0/24, ${expected}`);
    });
    rule.ports.forEach((port, j) => {
      if (!/^\d+(-\d+)?$/.test(port)) throw invalid(`items[${i}].ports[${j}]`, port, "a port such as \"443\" or a range such as \"8000-8100\"");
    });
  });
  const before = world.rules;
  const next = [...before.filter((rule) => rule.owner === "file"), ...items.map((rule) => ({ name: null, protocol: null, ports: [], log: false, ...rule, owner: "control", packets: before.find((old) => JSON.stringify(toInput(old)) === JSON.stringify(toInput(rule)))?.packets ?? 0 }))];
  const diff = listDiff(before.filter((rule) => rule.owner === "control").map(toInput), items.map(toInput));
  const outcome = changed(call, diff, who, () => {
    world.rules = next;
    world.log(who.actor, "127.0.0.1", "rules.replace", "rules", { items: before.length }, { items: next.length });
    return () => (world.rules = before);
  }, { rules: true });
  if (outcome.dry) return send(response, 200, { diff });
  return send(response, 200, { items: world.rules }, { ETag: etag(), ...outcome.headers });
}

const toInput = ({ name = null, action, from, to, protocol = null, ports, log }) => ({ name, action, from, to, protocol, ports, log });

function listDiff(before, after) {
  const diff = [];
  for (let i = 0; i < Math.max(before.length, after.length); i++) {
    const path = `/rules/${i}`;
    if (i >= before.length) diff.push({ op: "add", path, before: null, after: after[i] });
    else if (i >= after.length) diff.push({ op: "remove", path, before: before[i], after: null });
    else if (JSON.stringify(before[i]) !== JSON.stringify(after[i])) diff.push({ op: "replace", path, before: before[i], after: after[i] });
  }
  return diff;
}
