// Changes of many peers at once: each is shown as a diff before it is made.

import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { preview, send, told } from "../../api/client";
import type { BulkOperation, DiffEntry, Group, Peer } from "../../api/types";
import { plural } from "../../lib/format";
import { called } from "../../lib/names";
import { known } from "../../lib/pages";
import type { PeerList } from "../../state/peers";
import { Dialog } from "../../ui/dialog";
import { Diff } from "../../ui/diff";
import { Check, Text } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Note } from "../../ui/parts";
import { say } from "../../ui/toasts";

/** The API takes this many in one, all or nothing. */
const BULK_MOST = 1000;
const CONFIRM_S = 60;

type Action = "enable" | "disable" | "join" | "leave" | "delete";

const WORDS: Record<Action, string> = { enable: "Enable", disable: "Disable", join: "Add to a group", leave: "Remove from a group", delete: "Delete" };

interface BarProps {
  chosen: Signal<ReadonlySet<string>>;
  list: PeerList;
  groups: Group[];
  onDone: () => void;
}

/** What can be done with the chosen peers. */
export function BulkBar({ chosen, list, groups, onDone }: BarProps): JSX.Element | null {
  const [action, setAction] = useState<Action | null>(null);
  const [busy, setBusy] = useState(false);
  const size = chosen.value.size;
  if (size === 0) return null;
  const total = list.list.value.total;
  const chooseAll = async () => {
    setBusy(true);
    try {
      chosen.value = new Set((await list.all()).filter((peer) => peer.owner === "control").map((peer) => peer.public_key));
    } catch (error) {
      say(told(error));
    }
    setBusy(false);
  };
  return (
    <div class="row bulk" role="region" aria-label="Chosen peers">
      <span class="strong" role="status">
        {plural(size, "peer")} chosen
      </span>
      {size < total && (
        <button type="button" class="button small ghost" aria-disabled={busy} onClick={() => void chooseAll()}>
          {busy ? "Loading…" : `Choose all ${total}`}
        </button>
      )}
      <button type="button" class="button small ghost" onClick={() => (chosen.value = new Set())}>
        Choose none
      </button>
      <span class="row bulk-actions">
        {(Object.keys(WORDS) as Action[]).map((name) => (
          <button key={name} type="button" class={`button small ${name === "delete" ? "danger" : ""}`} onClick={() => setAction(name)}>
            {name === "delete" && <Icon name="trash" />}
            {WORDS[name]}
          </button>
        ))}
      </span>
      {action && (
        <BulkDialog
          action={action}
          peers={known(list.list.value).filter((peer) => chosen.value.has(peer.public_key))}
          keys={[...chosen.value]}
          groups={groups}
          onClose={() => setAction(null)}
          onDone={() => {
            setAction(null);
            chosen.value = new Set();
            onDone();
          }}
        />
      )}
    </div>
  );
}

function operations(action: Action, keys: string[], peers: Peer[], group: string): BulkOperation[] {
  switch (action) {
    case "enable":
    case "disable":
      return keys.map((public_key) => ({ op: "patch", public_key, peer: { disabled: action === "disable" } }));
    case "delete":
      return keys.map((public_key) => ({ op: "delete", public_key }));
    case "join":
      return peers.filter((peer) => !peer.groups.includes(group)).map((peer) => ({ op: "patch", public_key: peer.public_key, peer: { groups: [...peer.groups, group] } }));
    case "leave":
      return peers.filter((peer) => peer.groups.includes(group)).map((peer) => ({ op: "patch", public_key: peer.public_key, peer: { groups: peer.groups.filter((other) => other !== group) } }));
  }
}

function BulkDialog(props: { action: Action; peers: Peer[]; keys: string[]; groups: Group[]; onClose: () => void; onDone: () => void }): JSX.Element {
  const { action } = props;
  const [group, setGroup] = useState("");
  const [diff, setDiff] = useState<DiffEntry[] | null>(null);
  const [confirm, setConfirm] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const grouped = action === "join" || action === "leave";
  const planned = operations(action, props.keys, props.peers, group.trim());
  const parts: BulkOperation[][] = [];
  for (let at = 0; at < planned.length; at += BULK_MOST) parts.push(planned.slice(at, at + BULK_MOST));

  const run = async (work: () => Promise<void>) => {
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      await work();
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  const look = () =>
    run(async () => {
      const found: DiffEntry[] = [];
      for (const part of parts) found.push(...(await preview("POST", "/peers/bulk", { body: { operations: part } })));
      setDiff(found);
    });
  const apply = () =>
    run(async () => {
      for (const part of parts) await send("POST", "/peers/bulk", { body: { operations: part }, query: { confirm_within_s: confirm ? CONFIRM_S : null } });
      say(`${plural(planned.length, "peer")} changed.`);
      props.onDone();
    });

  return (
    <Dialog
      wide
      title={`${WORDS[action]}: ${plural(props.keys.length, "peer")}`}
      onClose={props.onClose}
      foot={
        <>
          <button type="button" class="button" onClick={props.onClose}>
            Cancel
          </button>
          {diff === null ? (
            <button type="button" class="button primary" aria-disabled={busy || (grouped && group.trim() === "")} onClick={() => (!grouped || group.trim() !== "") && void look()}>
              {busy ? "Comparing…" : "Show what changes"}
            </button>
          ) : (
            <button type="button" class={`button ${action === "delete" ? "solid-danger" : "primary"}`} aria-disabled={busy} onClick={() => void apply()}>
              {busy ? "Applying…" : action === "delete" ? `Delete ${plural(planned.length, "peer")}` : "Apply"}
            </button>
          )}
        </>
      }
    >
      {grouped && (
        <>
          <Text
            label="Group"
            name="group"
            value={group}
            onChange={(value) => {
              setGroup(value);
              setDiff(null);
            }}
            input={{ list: "bulk-groups", autofocus: true }}
          />
          <datalist id="bulk-groups">
            {props.groups.map((known) => (
              <option key={known.name} value={known.name} />
            ))}
          </datalist>
        </>
      )}
      {action === "delete" && <Note tone="warn">Deleted peers lose their sessions at once, and their keys are forgotten here.</Note>}
      {parts.length > 1 && <Note>The gateway takes {BULK_MOST} changes at a time, each thousand all or nothing: this is done in {parts.length} steps.</Note>}
      {diff && <Diff entries={diff} names={new Map(props.peers.map((peer) => [peer.public_key, called(peer)]))} />}
      {diff && diff.length > 0 && <Check label={`Take it back after ${CONFIRM_S} s unless I keep it`} help="For changes that may cut you off yourself." checked={confirm} onChange={setConfirm} />}
      {error !== null && (
        <Note tone="bad" live>
          {told(error)}
        </Note>
      )}
    </Dialog>
  );
}
