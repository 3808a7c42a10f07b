// Before rules are applied: what would change. When they are: a way back for who cuts himself off.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { preview, Problem, send, told } from "../../api/client";
import type { DiffEntry, Rule, RuleInput } from "../../api/types";
import { readPending } from "../../state/gateway";
import { Dialog } from "../../ui/dialog";
import { Diff } from "../../ui/diff";
import { Select } from "../../ui/form";
import { Loading, Note } from "../../ui/parts";
import { say } from "../../ui/toasts";

const WAYS_BACK = [
  ["60", "Take them back after 60 s unless I keep them"],
  ["300", "Take them back after 5 min unless I keep them"],
  ["0", "Apply for good"],
] as const;

interface ApplyProps {
  rules: RuleInput[];
  etag: string | null;
  onClose: () => void;
  onApplied: (rules: Rule[], etag: string | null) => void;
}

/** Shows the difference, then applies it. */
export function ApplyRules({ rules, etag, onClose, onApplied }: ApplyProps): JSX.Element {
  const [diff, setDiff] = useState<DiffEntry[] | null>(null);
  const [within, setWithin] = useState<"60" | "300" | "0">("60");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const body = { items: rules };
  useEffect(() => {
    preview("PUT", "/rules", { body, ifMatch: etag }).then(setDiff, setError);
  }, []);
  const apply = async () => {
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      const answer = await send<{ items: Rule[] }>("PUT", "/rules", { body, ifMatch: etag, query: { confirm_within_s: within === "0" ? null : Number(within) } });
      onApplied(answer.data.items, answer.etag);
      await readPending().catch(() => undefined);
      say(within === "0" ? "The rules are in force." : "The rules are in force. Keep them within the time above.");
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <Dialog
      wide
      title="Apply these rules?"
      onClose={onClose}
      foot={
        <>
          <button type="button" class="button" onClick={onClose}>
            Back
          </button>
          <button type="button" class="button primary" aria-disabled={busy || diff === null} onClick={() => diff !== null && void apply()}>
            {busy ? "Applying…" : "Apply"}
          </button>
        </>
      }
    >
      {diff === null && error === null && <Loading what="Comparing…" />}
      {diff && <Diff entries={diff} />}
      {diff && diff.length > 0 && <Select label="Way back" name="within" value={within} options={WAYS_BACK} onChange={setWithin} help="If a rule cuts you off, the old rules come back by themselves." />}
      {error !== null && (
        <Note tone="bad" live>
          <p>{told(error)}</p>
          {error instanceof Problem &&
            error.errors.map((fault) => (
              <p key={fault.field}>
                <code>{placed(fault.field)}</code>: expected {fault.expected}
                {fault.value !== undefined && fault.value !== null ? `, not “${String(fault.value)}”` : ""}
              </p>
            ))}
        </Note>
      )}
    </Dialog>
  );
}

/** `items[2].ports[0]` counts from nought; people count rules from one. */
function placed(field: string): string {
  return field.replace(/^\/?items[[/](\d+)\]?[./]?/, (_, place: string) => `rule ${Number(place) + 1}: `);
}
