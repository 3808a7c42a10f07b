// The routes of audit, users, tokens, settings, backups and waiting changes.

import { randomBytes } from "node:crypto";
import { bodyOf, invalid, Refused, send } from "./http.mjs";
import { iso } from "./world.mjs";

const PASSWORD = "at least 10 characters";
const user = ({ password: _, ...rest }) => rest;
const missing = () => {
  throw new Refused(404, "Nothing here", "no such path");
};

export async function administration(call) {
  switch (call.parts[0]) {
    case "audit":
      return audit(call);
    case "compliance":
      return compliance(call);
    case "users":
      return users(call);
    case "tokens":
      return tokens(call);
    case "settings":
      return settings(call);
    case "backup":
    case "restore":
      return backups(call);
    case "changes":
      return changes(call);
    case "ports":
      call.may("status:read");
      return send(call.response, 200, { items: call.world.shards.flatMap((shard) => shard.ports), devices: [{ device: "eth1", role: "wan", attached: "driver" }] });
    default:
      return missing();
  }
}

function audit({ may, world, query, parts, response }) {
  may("audit:read");
  const [oldest, newest] = [world.audit[0], world.audit.at(-1)];
  const hashes = { oldest_hash: oldest?.hash ?? null, newest_hash: newest?.hash ?? null };
  if (parts[1] === "verification") return send(response, 200, { intact: true, entries: world.audit.length, oldest: oldest?.number ?? null, newest: newest?.number ?? null, ...hashes, trouble: null });
  const [actor, target, from, to] = ["actor", "target", "from", "to"].map((name) => query.get(name));
  const found = world.audit
    .filter((entry) => (!actor || entry.actor === actor || entry.actor.startsWith(`${actor}:`)) && (!target || entry.target.startsWith(target)) && (!from || entry.at >= from) && (!to || entry.at < to))
    .reverse();
  const at = Number(query.get("cursor") ?? 0);
  const limit = Number(query.get("limit") ?? 100);
  return send(response, 200, { items: found.slice(at, at + limit), next_cursor: at + limit < found.length ? String(at + limit) : null, ...hashes });
}

function compliance({ may, world, query, response }) {
  may("audit:read");
  const peers = [...world.peers.values()].map((peer) => ({ public_key: peer.public_key, name: peer.name, handshakes: 12, rx_bytes: peer.live.rx_bytes_total, tx_bytes: peer.live.tx_bytes_total, first_seen: null, last_seen: peer.live.last_handshake_at }));
  if (query.get("format") === "csv") return send(response, 200, ["public_key,name,handshakes,rx_bytes,tx_bytes", ...peers.map((peer) => [peer.public_key, peer.name, peer.handshakes, peer.rx_bytes, peer.tx_bytes].join(","))].join("\r\n"), { "Content-Type": "text/csv" });
  return send(response, 200, { from: query.get("from"), to: query.get("to"), made_at: iso(Date.now()), audit_intact: true, peers, changes: { "user:olga": 56 }, refused_logins: { "203.0.113.9": 1 }, denied: { "guests see nothing inside": 1204 } });
}

async function users(call) {
  const { world, method, parts, request, response } = call;
  const [, name, what] = parts;
  if (what === "password") {
    const who = call.may("own");
    const { current, new: next = "" } = await bodyOf(request);
    const found = world.users.get(name);
    if (name !== who.name) call.may("users:write");
    else if (current !== found.password) throw invalid("current", null, "the password until now");
    if ([...next].length < 10) throw invalid("new", null, PASSWORD);
    Object.assign(found, { password: next, must_change_password: name === who.name ? false : found.must_change_password });
    return send(response, 204);
  }
  if (method === "GET") {
    call.may("users:read");
    return send(response, 200, { items: [...world.users.values()].map(user).sort((a, b) => a.name.localeCompare(b.name)) });
  }
  const who = call.may("users:write");
  const input = await bodyOf(request);
  if (method === "POST") {
    if (!/^[a-z0-9][a-z0-9._-]{0,31}$/.test(input.name ?? "")) throw invalid("name", input.name, "1 to 32 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit");
    if (world.users.has(input.name)) throw invalid("name", input.name, "a name that no other user has");
    if ([...(input.password ?? "")].length < 10) throw invalid("password", null, PASSWORD);
    world.users.set(input.name, { disabled: false, created_at: iso(Date.now()), last_login_at: null, ...input });
    world.log(who.actor, "127.0.0.1", "user.create", `user/${input.name}`, null, { role: input.role });
    return send(response, 201, user(world.users.get(input.name)));
  }
  const found = world.users.get(name) ?? missing();
  if (method === "DELETE") {
    world.users.delete(name);
    return send(response, 204);
  }
  Object.assign(found, input);
  return send(response, 200, user(found));
}

async function tokens(call) {
  const { world, method, parts, request, response } = call;
  if (method === "GET") {
    call.may("users:read");
    return send(response, 200, { items: [...world.tokens.values()] });
  }
  const who = call.may("tokens:write");
  if (method === "DELETE") {
    if (!world.tokens.delete(parts[1])) missing();
    return send(response, 204);
  }
  const input = await bodyOf(request);
  if (!/^[\p{L}\d]/u.test(input.name ?? "")) throw invalid("name", input.name, "1 to 64 bytes of letters, digits, spaces and -_.@+");
  const made = { id: `tok-${world.tokens.size + 1}-${input.name}`, name: input.name, role: input.role, scopes: input.scopes, expires_at: input.expires_at ?? null };
  world.tokens.set(made.id, { ...made, created_at: iso(Date.now()), created_by: who.actor, last_used_at: null });
  return send(response, 201, { token: `weir_${randomBytes(24).toString("base64url")}`, ...made });
}

async function settings(call) {
  const { world, method, request, response } = call;
  if (method === "GET") {
    call.may("status:read");
    return send(response, 200, world.settings, { ETag: '"settings"' });
  }
  call.may("settings:write");
  const input = await bodyOf(request);
  if (!(input.session_hours >= 1 && input.session_hours <= 720)) throw invalid("session_hours", input.session_hours, "1 to 720");
  if (!(input.alerts.peer_gone_s >= 10)) throw invalid("alerts.peer_gone_s", input.alerts.peer_gone_s, "10 to 86400");
  world.settings = input;
  return send(response, 200, world.settings);
}

async function backups(call) {
  const { world, parts, request, response, query } = call;
  call.may("backup");
  const { passphrase = "" } = await bodyOf(request);
  if ([...passphrase].length < 10) throw invalid("passphrase", null, PASSWORD);
  if (parts[0] === "backup") return send(response, 200, randomBytes(4096), { "Content-Type": "application/octet-stream" });
  if (query.get("dry_run") === "true") return send(response, 200, { diff: [{ op: "remove", path: "/peers/anna-phone", before: { name: "anna-phone" }, after: null }] });
  return send(response, 200, { peers: world.peers.size, rules: world.rules.length, users: world.users.size, tokens: world.tokens.size, made_at: iso(Date.now()) });
}

function changes(call) {
  const { world, method, parts, response } = call;
  call.may(method === "GET" ? "peers:read" : "peers:write");
  if (method === "GET") return send(response, 200, { items: [...world.changes.values()].map(({ made }) => made) });
  const found = world.changes.get(parts[1]) ?? missing();
  if (method === "DELETE") found.undo();
  else found.keep();
  return send(response, 204);
}
