// Changing a peer. What was typed survives a refusal, a lost connection and a change by somebody else.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, Problem, send } from "../../api/client";
import type { Group, Peer, PeerPatch } from "../../api/types";
import { keyToPath } from "../../lib/keys";
import { Dialog } from "../../ui/dialog";
import { Refusal, useSending } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { useLoad } from "../../ui/load";
import { Note } from "../../ui/parts";
import { say } from "../../ui/toasts";
import { AddressField, DRAFT_FIELDS, draftOf, inputOf, MoreFields, NameFields, type Draft } from "./fields";

/** The button and, when pressed, the form. */
export function EditPeer(props: { peer: Peer; etag: string | null; reload: () => void }): JSX.Element {
  const [open, setOpen] = useState(false);
  return (
    <section class="card stack tight" aria-labelledby="edit-h">
      <h2 id="edit-h">Configuration</h2>
      <p class="muted small">Name, groups, allowed IPs, endpoint, keepalive, expiry, notes.</p>
      <div>
        <button type="button" class="button" onClick={() => setOpen(true)}>
          <Icon name="edit" /> Edit
        </button>
      </div>
      {open && <EditDialog {...props} onClose={() => setOpen(false)} />}
    </section>
  );
}

/** The members that differ from what they were. */
export function patchOf(before: Draft, after: Draft): PeerPatch {
  const input = inputOf(after);
  const patch: Record<string, unknown> = {};
  for (const field of Object.keys(input) as (keyof Draft)[]) if (before[field] !== after[field]) patch[field] = input[field];
  return patch as PeerPatch;
}

function EditDialog({ peer, etag, reload, onClose }: { peer: Peer; etag: string | null; reload: () => void; onClose: () => void }): JSX.Element {
  const [base, setBase] = useState(() => ({ draft: draftOf(peer), etag }));
  const [draft, setDraft] = useState<Draft>(base.draft);
  const groups = useLoad("groups", (signal) => get<{ items: Group[] }>("/groups", { signal }));
  const [stale, setStale] = useState(false);
  const [sending, submit] = useSending(DRAFT_FIELDS, async () => {
    const body = patchOf(base.draft, draft);
    if (Object.keys(body).length > 0) await send("PATCH", `/peers/${keyToPath(peer.public_key)}`, { body, ifMatch: base.etag });
    say("Saved.");
    reload();
    onClose();
  });
  useEffect(() => {
    if (sending.error instanceof Problem && sending.error.status === 412) {
      setStale(true);
      reload();
    }
  }, [sending.error]);
  const set = (change: Partial<Draft>) => setDraft((now) => ({ ...now, ...change }));
  // What somebody else changed becomes the new base; what was typed here stays typed.
  const rebase = () => {
    const theirs = draftOf(peer);
    const merged = { ...theirs };
    for (const field of Object.keys(draft) as (keyof Draft)[]) if (draft[field] !== base.draft[field]) merged[field] = draft[field];
    setBase({ draft: theirs, etag });
    setDraft(merged);
    setStale(false);
    sending.clear();
  };
  return (
    <Dialog
      wide
      title={`Edit ${peer.name ?? "peer"}`}
      onClose={onClose}
      foot={
        <>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" form="edit-peer" class="button primary" aria-disabled={sending.busy || stale}>
            {sending.busy ? "Saving…" : "Save"}
          </button>
        </>
      }
    >
      <form id="edit-peer" class="form" onSubmit={submit} noValidate>
        {stale ? (
          <Note tone="warn" live>
            <p>Somebody else changed this peer meanwhile.</p>
            <button type="button" class="button small" onClick={rebase}>
              Take theirs and keep what I typed
            </button>
          </Note>
        ) : (
          <Refusal sending={sending} />
        )}
        <NameFields draft={draft} set={set} faults={sending.faults} groups={groups.data?.items ?? []} />
        <AddressField draft={draft} set={set} faults={sending.faults} />
        <MoreFields draft={draft} set={set} faults={sending.faults} />
      </form>
    </Dialog>
  );
}
