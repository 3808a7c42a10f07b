// Which problem of an answer belongs to which field of a form.

import type { FieldProblem } from "../api/types";

/** Sorts problems to the form's fields. `allowed_ips[1]`, `/allowed_ips/1` and `peer.allowed_ips` belong to `allowed_ips`. */
export function faultsOf(errors: readonly FieldProblem[], fields: readonly string[]): { faults: Record<string, string>; rest: FieldProblem[] } {
  const faults: Record<string, string> = {};
  const rest: FieldProblem[] = [];
  for (const error of errors) {
    const parts = error.field.split(/[./[\]]+/).filter(Boolean);
    const name = parts.find((part) => fields.includes(part));
    if (!name) {
      rest.push(error);
      continue;
    }
    faults[name] = faults[name] ? `${faults[name]} ${sentence(error)}` : sentence(error);
  }
  return { faults, rest };
}

function sentence(error: FieldProblem): string {
  const value = error.value === undefined || error.value === null || error.value === "" ? "" : ` “${shown(error.value)}” is not.`;
  return `Expected ${error.expected.replace(/\.$/, "")}.${value}`;
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
