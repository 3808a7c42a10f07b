// What tokens may do, and the least role that has each: the mirror of weir-api's scopes.

import type { Role, Scope } from "../api/types";

/** Every scope with its words and its least role. */
export const SCOPES: readonly { scope: Scope; words: string; role: Role }[] = [
  { scope: "peers:read", words: "Read peers", role: "viewer" },
  { scope: "peers:write", words: "Change peers", role: "operator" },
  { scope: "rules:read", words: "Read access rules", role: "viewer" },
  { scope: "rules:write", words: "Change access rules", role: "operator" },
  { scope: "status:read", words: "Read status, alerts, settings", role: "viewer" },
  { scope: "events:read", words: "Listen to events", role: "viewer" },
  { scope: "audit:read", words: "Read the audit log", role: "operator" },
  { scope: "users:read", words: "Read users and tokens", role: "administrator" },
  { scope: "users:write", words: "Change users", role: "administrator" },
  { scope: "tokens:write", words: "Make and revoke tokens", role: "administrator" },
  { scope: "settings:write", words: "Change settings", role: "administrator" },
  { scope: "backup", words: "Back up and restore", role: "administrator" },
  { scope: "metrics:read", words: "Read metrics", role: "viewer" },
];

const RANK: Record<Role, number> = { viewer: 0, operator: 1, administrator: 2 };

/** The scopes that a role can have. */
export const scopesOf = (role: Role): Scope[] => SCOPES.filter((entry) => RANK[entry.role] <= RANK[role]).map((entry) => entry.scope);
