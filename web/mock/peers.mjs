// The routes of peers.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { changed } from "./changes.mjs";
import { bodyOf, invalid, Refused, send } from "./http.mjs";
import { iso } from "./world.mjs";
import { random } from "./random.mjs";

const NAME = "1 to 64 bytes of letters, digits, spaces and -_.@+, beginning and ending with a letter, a digit or one of _+@";
const SORTS = {
  name: (peer) => (peer.name ?? "").toLowerCase(),
  public_key: (peer) => peer.public_key,
  state: (peer) => peer.live.state,
  last_handshake: (peer) => Date.parse(peer.live.last_handshake_at ?? 0),
  rx_bytes: (peer) => peer.live.rx_bytes_total,
  tx_bytes: (peer) => peer.live.tx_bytes_total,
  created_at: (peer) => peer.created_at ?? "",
  allowed_ips: (peer) => (peer.allowed_ips[0] ?? "").split(".").reduce((sum, part) => sum * 256 + parseInt(part, 10), 0),
};

const shown = (world, { rate: _, etag: __, ...peer }) => (world.dataplane ? peer : { ...peer, live: { ...peer.live, state: "absent", health: "absent", state_reason: "the data plane is away", endpoint: null } });
/** A peer in a diff (RFC 6901). */
const pointer = (peer) => `/peers/${peer.public_key.replace(/\//g, "~1")}`;
const tag = (peer) => `"${peer.etag}"`;

export async function peers(call, key) {
  const { world, response, method, parts } = call;
  if (parts[1] === "bulk") return bulk(call);
  if (!key) return method === "GET" ? list(call) : create(call);
  const peer = world.peers.get(key);
  call.may(method === "GET" || parts[2] === "diagnosis" ? "peers:read" : "peers:write");
  if (!peer) throw new Refused(404, "There is no such peer", `no peer has the key ${key}`);
  switch (parts[2]) {
    case undefined:
      return method === "GET" ? send(response, 200, shown(world, peer), { ETag: tag(peer) }) : method === "DELETE" ? remove(call, peer) : patch(call, peer);
    case "history":
      return send(response, 200, history(call, peer));
    case "config":
      return send(response, 200, conf(world, peer, "", null), { "Content-Type": "text/plain" });
    case "preshared-key":
      peer.has_preshared_key = true;
      world.log(call.caller.actor, "127.0.0.1", "peer.rotate-preshared-key", `peer/${key}`);
      return send(response, 200, { config: conf(world, peer, "", randomBytes(32).toString("base64")) });
    case "diagnosis":
      return diagnose(call, peer);
    default:
      throw new Refused(404, "Nothing here", "no such path");
  }
}

function list({ may, world, query, response }) {
  may("peers:read");
  const q = (query.get("q") ?? "").toLowerCase();
  const [group, state, owner] = ["group", "state", "owner"].map((name) => query.get(name));
  const sort = query.get("sort") ?? "name";
  const by = SORTS[sort.replace(/^-/, "")];
  if (!by) throw invalid("sort", sort, Object.keys(SORTS).join(", "));
  const found = [...world.peers.values()]
    .filter((peer) => (!group || peer.groups.includes(group)) && (!state || peer.live.state === state) && (!owner || peer.owner === owner))
    .filter((peer) => !q || [peer.name ?? "", peer.public_key, peer.notes, peer.live.endpoint ?? "", ...peer.groups, ...peer.allowed_ips].some((text) => text.toLowerCase().includes(q)))
    .map((peer) => ({ peer, by: by(peer) }));
  const sign = sort.startsWith("-") ? -1 : 1;
  found.sort((a, b) => sign * (a.by < b.by ? -1 : a.by > b.by ? 1 : a.peer.public_key < b.peer.public_key ? -1 : 1));
  const from = Number(query.get("cursor") ?? 0);
  const limit = Math.min(1000, Number(query.get("limit") ?? 100));
  const items = found.slice(from, from + limit).map(({ peer }) => shown(world, peer));
  send(response, 200, { items, next_cursor: from + limit < found.length ? String(from + limit) : null, total: found.length });
}

function checked(input, world, own) {
  const errors = [];
  const wrong = (field, value, expected) => errors.push({ field, value, expected });
  if ("name" in input || !own) if (!/^[\p{L}\d_+@]([\p{L}\d\-_.@+ ]*[\p{L}\d_+@])?$/u.test(input.name ?? "")) wrong("name", input.name ?? null, NAME);
  (input.groups ?? []).forEach((group, i) => !/^[\p{L}\d_+@][\p{L}\d\-_.@+ ]*$/u.test(group) && wrong(`groups[${i}]`, group, NAME));
  (input.allowed_ips ?? []).forEach((network, i) => !/^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]+)(\/\d{1,3})?$/i.test(network) && wrong(`allowed_ips[${i}]`, network, "a network such as 10.0.0.0/24, fd00::/64, or an address"));
  if (input.endpoint && !/^.+:\d{1,5}$/.test(input.endpoint)) wrong("endpoint", input.endpoint, "ADDRESS:PORT, [IPV6]:PORT or NAME:PORT with a port of 1 to 65535");
  if (input.public_key !== undefined && !/^[A-Za-z0-9+/]{43}=$/.test(input.public_key)) wrong("public_key", input.public_key, "a key of 44 base64 characters ending in '='");
  if (input.persistent_keepalive && !(input.persistent_keepalive >= 0 && input.persistent_keepalive <= 65535)) wrong("persistent_keepalive", input.persistent_keepalive, "0 to 65535");
  const taken = [...world.peers.values()].find((other) => other !== own && input.name && other.name === input.name);
  if (taken) wrong("name", input.name, "a name that no other peer has");
  if (errors.length > 0) throw new Refused(422, "Some fields are not as expected", errors.length === 1 ? "one field is not as expected" : `${errors.length} fields are not as expected`, errors);
}

/** A peer that never connected. */
function fresh(world, input) {
  const host = world.nextHost++;
  const now = iso(Date.now());
  return {
    public_key: input.public_key,
    name: input.name,
    groups: input.groups ?? [],
    allowed_ips: input.allowed_ips ?? [`10.9.${(host >> 8) & 255}.${host & 255}/32`, `fd00:9::${host.toString(16)}/128`],
    endpoint: input.endpoint ?? null,
    persistent_keepalive: input.persistent_keepalive || null,
    has_preshared_key: Boolean(input.preshared_key),
    disabled: input.disabled ?? false,
    expires_at: input.expires_at ?? null,
    notes: input.notes ?? "",
    owner: "control",
    created_at: now,
    updated_at: now,
    conflict: null,
    live: { state: "init", state_since: now, state_reason: "nothing was tried yet", health: "idle", trouble: null, endpoint: null, last_handshake_at: null, rx_bytes: 0, tx_bytes: 0, rx_bytes_total: 0, tx_bytes_total: 0, latency_ms: null, handshake_ms: null, shard: null },
    rate: { rx: 0, tx: 0 },
    etag: 1,
  };
}

async function create(call) {
  const { world, request, response } = call;
  const who = call.may("peers:write");
  const attempt = request.headers["idempotency-key"];
  const again = attempt && world.answers.get(attempt);
  if (again) return send(response, 201, again);
  const input = await bodyOf(request);
  checked(input, world, null);
  const made = input.public_key ? null : pair();
  const peer = fresh(world, { ...input, public_key: input.public_key ?? made.public });
  changed(call, [], who, () => {
    world.peers.set(peer.public_key, peer);
    return () => world.peers.delete(peer.public_key);
  }, { peers: [peer.public_key] });
  world.log(who.actor, "127.0.0.1", "peer.create", `peer/${peer.public_key}`, null, { name: peer.name, groups: peer.groups, allowed_ips: peer.allowed_ips });
  const answer = { peer: shown(world, peer), config: made && conf(world, peer, made.private, input.preshared_key ? randomBytes(32).toString("base64") : null, input.full_tunnel) };
  if (attempt) world.answers.set(attempt, answer);
  send(response, 201, answer, { ETag: tag(peer) });
}

function pair() {
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  const raw = (key, type, at) => key.export({ format: "der", type }).subarray(at).toString("base64");
  return { public: raw(publicKey, "spki", 12), private: raw(privateKey, "pkcs8", 16) };
}

function conf(world, peer, privateKey, preshared, full = false) {
  const lines = ["[Interface]", `PrivateKey = ${privateKey || "(the client's own)"}`, `Address = ${peer.allowed_ips.join(", ")}`, "DNS = 10.9.0.1", "", "[Peer]", `PublicKey = ${world.publicKey}`];
  if (preshared) lines.push(`PresharedKey = ${preshared}`);
  lines.push(`AllowedIPs = ${full ? "0.0.0.0/0, ::/0" : "10.9.0.0/16, fd00:9::/64"}`, "Endpoint = vpn.example.org:51820", "PersistentKeepalive = 25", "");
  return lines.join("\n");
}

const PATCHED = ["name", "groups", "allowed_ips", "endpoint", "persistent_keepalive", "disabled", "expires_at", "notes"];

function plan(peer, input) {
  const diff = [];
  const next = {};
  for (const field of PATCHED) {
    if (!(field in input)) continue;
    next[field] = input[field] ?? (field === "groups" ? [] : field === "notes" ? "" : null);
    if (JSON.stringify(peer[field]) !== JSON.stringify(next[field])) diff.push({ op: "replace", path: `${pointer(peer)}/${field}`, before: peer[field], after: next[field] });
  }
  return { diff, next };
}

function apply(peer, next) {
  const before = Object.fromEntries(Object.keys(next).map((field) => [field, peer[field]]));
  const live = { ...peer.live };
  Object.assign(peer, next, { updated_at: iso(Date.now()), etag: peer.etag + 1 });
  if (next.disabled === true) Object.assign(peer.live, { state: "absent", health: "absent", state_reason: "it is disabled" });
  if (next.disabled === false) Object.assign(peer.live, { state: "init", health: "idle", state_reason: "nothing was tried yet" });
  return () => {
    Object.assign(peer, before, { etag: peer.etag + 1 });
    peer.live = live;
  };
}

function refuseFile(peer) {
  if (peer.owner === "file") throw new Refused(409, "It is declared in weir.toml", `the peer ${peer.name} is declared in weir.toml and is changed there`);
}

async function patch(call, peer) {
  const { world, request, response } = call;
  const input = await bodyOf(request);
  refuseFile(peer);
  if (request.headers["if-match"] && request.headers["if-match"] !== tag(peer)) throw new Refused(412, "It changed meanwhile", "the peer changed meanwhile");
  checked(input, world, peer);
  const { diff, next } = plan(peer, input);
  const outcome = changed(call, diff, call.caller, () => apply(peer, next), { peers: [peer.public_key] });
  if (outcome.dry) return send(response, 200, { diff });
  world.log(call.caller.actor, "127.0.0.1", "peer.change", `peer/${peer.public_key}`, Object.fromEntries(diff.map((d) => [d.path.split("/").pop(), d.before])), next);
  send(response, 200, shown(world, peer), { ETag: tag(peer), ...outcome.headers });
}

function remove(call, peer) {
  const { world, response } = call;
  refuseFile(peer);
  const diff = [{ op: "remove", path: pointer(peer), before: { name: peer.name }, after: null }];
  const outcome = changed(call, diff, call.caller, () => {
    world.peers.delete(peer.public_key);
    return () => world.peers.set(peer.public_key, peer);
  }, { peers: [peer.public_key] });
  if (outcome.dry) return send(response, 200, { diff });
  world.log(call.caller.actor, "127.0.0.1", "peer.delete", `peer/${peer.public_key}`, { name: peer.name }, null);
  send(response, 204, undefined, outcome.headers);
}

async function bulk(call) {
  const { world, request, response } = call;
  const who = call.may("peers:write");
  const { operations = [] } = await bodyOf(request);
  if (operations.length < 1 || operations.length > 1000) throw invalid("operations", operations.length, "1 to 1000 operations");
  const steps = operations.map(({ op, public_key, peer: input }) => {
    const peer = world.peers.get(public_key);
    if (op === "put" && !peer) {
      const made = fresh(world, { ...input, public_key });
      return { peer: made, diff: [{ op: "add", path: pointer(made), before: null, after: { name: made.name } }], run: () => (world.peers.set(public_key, made), () => world.peers.delete(public_key)) };
    }
    if (!peer) throw new Refused(404, "There is no such peer", `no peer has the key ${public_key}`);
    refuseFile(peer);
    if (op === "delete") return { peer, diff: [{ op: "remove", path: pointer(peer), before: { name: peer.name }, after: null }], run: () => (world.peers.delete(public_key), () => world.peers.set(public_key, peer)) };
    checked(input, world, peer);
    const { diff, next } = plan(peer, input);
    return { peer, diff, run: () => apply(peer, next), changes: diff.length > 0 };
  });
  const diff = steps.flatMap((step) => step.diff);
  const outcome = changed(call, diff, who, () => {
    const undone = steps.map((step) => step.run());
    return () => undone.reverse().forEach((undo) => undo());
  });
  if (outcome.dry) return send(response, 200, { diff });
  world.log(who.actor, "127.0.0.1", "peers.bulk", "peers", null, { operations: operations.length });
  send(response, 200, { created: 0, changed: steps.length, removed: operations.filter(({ op }) => op === "delete").length }, outcome.headers);
}

const STEPS = { "1h": [60, 60], "24h": [300, 288], "7d": [3600, 168], "30d": [3600, 720] };

function history({ query }, peer) {
  const range = query.get("range") ?? "1h";
  if (!STEPS[range]) throw invalid("range", range, "1h, 24h, 7d or 30d");
  const [step_s, count] = STEPS[range];
  const next = random(peer.public_key.charCodeAt(3) * 91 + count);
  const end = Math.floor(Date.now() / 1000 / step_s) * step_s;
  const points = [];
  for (let i = count; i > 0; i--) {
    if (i > count * 0.4 && i < count * 0.46) continue;
    const at = end - i * step_s;
    const day = Math.max(0.05, Math.sin(((at % 86_400) / 86_400) * Math.PI * 2 - 1.7) + 0.5);
    points.push([at, Math.floor(next() * day * 300_000 * step_s), Math.floor(next() * day * 1_500_000 * step_s), next() < 0.5 ? Math.ceil(step_s / 180) : 0]);
  }
  return { step_s, points };
}

async function diagnose(call, peer) {
  const { probe } = await bodyOf(call.request);
  if (probe) call.may("peers:write");
  const bad = peer.live.state === "disconnected";
  const findings = bad
    ? [
        { code: "no_answer", certainty: "likely", summary: "Nothing comes back from its last endpoint", detail: "20 initiations were sent to 203.0.113.9:41222 in 90 s; nothing was received from there, and no ICMP error either.", remedy: "See whether the device is on and online. If it is, a firewall on its way drops UDP." },
        { code: "return_path", certainty: "possible", summary: "Its answers may be dropped on the way", detail: "The gateway sees only that it hears nothing.", remedy: "Let the client show its own handshake counters: if it received initiations, its answers are lost." },
      ]
    : [];
  if (probe) await new Promise((resolve) => setTimeout(resolve, 400));
  send(call.response, 200, {
    state: peer.live.state,
    state_reason: peer.live.state_reason,
    findings,
    probe: probe ? { handshake: !bad, handshake_ms: bad ? null : 21.4, small_ms: bad ? null : 18.2, large_ms: bad ? null : 19.9, large_bytes: 1420, note: bad ? "no session came to be, so nothing was sent through the tunnel" : null } : null,
  });
}
