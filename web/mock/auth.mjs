// Sessions, tokens, roles: as strict as the real server, so that the page is built against that.

import { randomBytes } from "node:crypto";
import { bodyOf, Refused, send } from "./http.mjs";
import { iso } from "./world.mjs";

const SCOPES = {
  viewer: ["peers:read", "rules:read", "status:read", "events:read", "metrics:read"],
  operator: ["peers:write", "rules:write", "audit:read"],
  administrator: ["users:read", "users:write", "tokens:write", "settings:write", "backup"],
};
const scopesOf = (role) => [...SCOPES.viewer, ...(role === "viewer" ? [] : SCOPES.operator), ...(role === "administrator" ? SCOPES.administrator : [])];
const LIFE_MS = 12 * 3_600_000;
const FAILURES = 5;

const told = (session, user) => ({ name: user.name, role: user.role, scopes: scopesOf(user.role), csrf_token: session.csrf, must_change_password: user.must_change_password, expires_at: iso(session.ends) });

/** Who calls; refuses who may not. */
export function callerOf(world, request, scope) {
  const id = /(?:^|;\s*)weir_session=([^;]+)/.exec(request.headers.cookie ?? "")?.[1];
  const session = world.sessions.get(id);
  const user = session && world.users.get(session.name);
  if (!user) throw new Refused(401, "Not signed in", "there is no session, or it has ended");
  if (!["GET", "HEAD"].includes(request.method) && request.headers["x-csrf-token"] !== session.csrf) throw new Refused(403, "The CSRF token is missing or wrong", "the header X-CSRF-Token is missing or wrong");
  if (user.must_change_password && scope !== "own") throw new Refused(403, "The password must be changed first", "the password must be changed first");
  if (scope && scope !== "own" && !scopesOf(user.role).includes(scope)) throw new Refused(403, "Not allowed", `the role ${user.role} lacks ${scope}`);
  return { ...told(session, user), session: id, actor: `user:${user.name}` };
}

export async function session(world, request, response) {
  if (request.method === "GET") {
    const { session: _, actor: __, ...who } = callerOf(world, request, "own");
    return send(response, 200, who);
  }
  if (request.method === "DELETE") {
    world.sessions.delete(callerOf(world, request, "own").session);
    return send(response, 204, undefined, { "Set-Cookie": "weir_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0" });
  }
  const { name = "", password = "" } = await bodyOf(request);
  const now = Date.now();
  world.failures = world.failures.filter((failure) => failure.at > now - 60_000);
  if (world.failures.filter((failure) => failure.name === name).length >= FAILURES) throw new Refused(429, "Too many attempts", "too many refused attempts", [], { "Retry-After": "42" });
  const user = world.users.get(name);
  if (!user || user.password !== password || user.disabled) {
    world.failures.push({ name, at: now });
    world.log(`user:${name}`, "127.0.0.1", "login.refused", `user/${name}`);
    throw new Refused(401, "Not signed in", "The name or the password is wrong.");
  }
  const id = randomBytes(16).toString("hex");
  const made = { name, csrf: randomBytes(16).toString("hex"), ends: now + LIFE_MS };
  world.sessions.set(id, made);
  user.last_login_at = iso(now);
  return send(response, 200, told(made, user), { "Set-Cookie": `weir_session=${id}; Path=/; HttpOnly; SameSite=Strict` });
}
