// Access rules in words, and the editing of their list.

import type { Rule, RuleInput } from "../api/types";

/** A rule under way: what it is to be, with a number that stays while it is moved. */
export interface DraftRule {
  id: number;
  rule: RuleInput;
}

/** What the API takes of a rule that it answered. */
export function toInput(rule: Rule): RuleInput {
  return { name: rule.name, action: rule.action, from: rule.from, to: rule.to, protocol: rule.protocol, ports: rule.ports, log: rule.log };
}

/** `tcp 80, 443`, `any protocol`. */
export function traffic(rule: Pick<RuleInput, "protocol" | "ports">): string {
  const protocol = rule.protocol ? (/^\d+$/.test(rule.protocol) ? `protocol ${rule.protocol}` : rule.protocol.toUpperCase()) : "anything";
  return rule.ports.length > 0 ? `${protocol} ${rule.ports.join(", ")}` : protocol;
}

/** A list with the item at `place` moved by `by`, as far as it goes. */
export function moved<T>(list: readonly T[], place: number, by: number): T[] {
  const to = Math.min(list.length - 1, Math.max(0, place + by));
  const next = [...list];
  const [item] = next.splice(place, 1);
  if (item !== undefined) next.splice(to, 0, item);
  return next;
}

/** Whether two lists of rules are the same. */
export function sameRules(a: readonly RuleInput[], b: readonly RuleInput[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The keys of the peers that rules name. */
export function namedPeers(rules: readonly Pick<RuleInput, "from" | "to">[]): string[] {
  const keys = rules.flatMap((rule) => [...rule.from, ...rule.to]).filter((end) => end.startsWith("peer:"));
  return [...new Set(keys.map((end) => end.slice(5)))];
}
