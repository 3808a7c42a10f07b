// The fields of a peer, as adding and editing share them.

import type { JSX } from "preact";
import type { Group, Peer, PeerInput } from "../../api/types";
import { listed } from "../../lib/names";
import { fromLocal, toLocal } from "../../lib/times";
import { Area, Text } from "../../ui/form";

/** What the fields hold: texts, as typed. */
export interface Draft {
  name: string;
  groups: string;
  allowed_ips: string;
  endpoint: string;
  persistent_keepalive: string;
  expires_at: string;
  notes: string;
}

/** The names of the fields, to which problems are sorted. */
export const DRAFT_FIELDS = ["name", "groups", "allowed_ips", "endpoint", "persistent_keepalive", "expires_at", "notes", "public_key", "preshared_key"] as const;

export const EMPTY_DRAFT: Draft = { name: "", groups: "", allowed_ips: "", endpoint: "", persistent_keepalive: "", expires_at: "", notes: "" };

/** A peer as typed. */
export function draftOf(peer: Peer): Draft {
  return {
    name: peer.name ?? "",
    groups: peer.groups.join(", "),
    allowed_ips: peer.allowed_ips.join("\n"),
    endpoint: peer.endpoint ?? "",
    persistent_keepalive: peer.persistent_keepalive ? String(peer.persistent_keepalive) : "",
    expires_at: toLocal(peer.expires_at),
    notes: peer.notes,
  };
}

/** What was typed as the API takes it. What is no number is sent as it is, so that the server says what it expects. */
export function inputOf(draft: Draft): Required<Pick<PeerInput, "name" | "groups" | "endpoint" | "persistent_keepalive" | "expires_at" | "notes">> & { allowed_ips: string[] } {
  const keepalive = draft.persistent_keepalive.trim();
  return {
    name: draft.name.trim(),
    groups: listed(draft.groups, /[,\n;]+/),
    allowed_ips: listed(draft.allowed_ips),
    endpoint: draft.endpoint.trim() || null,
    persistent_keepalive: keepalive === "" ? null : Number.isNaN(Number(keepalive)) ? (keepalive as unknown as number) : Number(keepalive),
    expires_at: fromLocal(draft.expires_at),
    notes: draft.notes,
  };
}

interface FieldsProps {
  draft: Draft;
  set: (change: Partial<Draft>) => void;
  faults: Record<string, string>;
}

/** Name and groups. */
export function NameFields({ draft, set, faults, groups, focus = false }: FieldsProps & { groups: Group[]; focus?: boolean }): JSX.Element {
  return (
    <div class="fields">
      <Text label="Name" name="name" value={draft.name} onChange={(name) => set({ name })} faults={faults} help="Whose device it is, such as anna-phone." input={{ required: true, autofocus: focus }} />
      <Text
        label="Groups"
        name="groups"
        optional
        value={draft.groups}
        onChange={(text) => set({ groups: text })}
        faults={faults}
        help={groups.length > 0 ? `Apart by commas. There are: ${groups.slice(0, 6).map((group) => group.name).join(", ")}${groups.length > 6 ? " and others" : ""}.` : "Apart by commas. Access rules name peers by their groups."}
      />
    </div>
  );
}

/** Networks, where new peers are given free ones by themselves. */
export function AddressField({ draft, set, faults, fresh = false }: FieldsProps & { fresh?: boolean }): JSX.Element {
  return (
    <Area
      label={fresh ? "Addresses" : "Allowed IPs"}
      name="allowed_ips"
      optional={fresh}
      code
      rows={fresh ? 2 : 3}
      value={draft.allowed_ips}
      onChange={(text) => set({ allowed_ips: text })}
      faults={faults}
      help={fresh ? "Left empty, free addresses of the interface's networks are given. For a site, add the networks behind it." : "The sources it may use and the destinations it is sent, one a line."}
    />
  );
}

/** Endpoint, keepalive, expiry, notes. */
export function MoreFields({ draft, set, faults }: FieldsProps): JSX.Element {
  return (
    <>
      <div class="fields">
        <Text label="Endpoint" name="endpoint" optional value={draft.endpoint} onChange={(endpoint) => set({ endpoint })} faults={faults} help="Only for a peer that the gateway shall call." input={{ class: "code", spellcheck: false, placeholder: "vpn.example.org:51820" }} />
        <Text
          label="Persistent keepalive, seconds"
          name="persistent_keepalive"
          optional
          value={draft.persistent_keepalive}
          onChange={(text) => set({ persistent_keepalive: text })}
          faults={faults}
          help="Sent by the gateway. Empty is off; clients behind NAT keep their own."
          input={{ type: "number", min: 0, max: 65535 }}
        />
      </div>
      <Text label="Expires" name="expires_at" optional value={draft.expires_at} onChange={(text) => set({ expires_at: text })} faults={faults} help="From then on it is kept out, and not deleted. In this browser's time zone." input={{ type: "datetime-local" }} />
      <Area label="Notes" name="notes" optional value={draft.notes} onChange={(notes) => set({ notes })} faults={faults} />
    </>
  );
}
