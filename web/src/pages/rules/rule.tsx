// One rule, edited. What is wrong with it the server says when the rules are compared.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get } from "../../api/client";
import type { Group, Peers, RuleInput } from "../../api/types";
import { isKey, shortKey } from "../../lib/keys";
import { listed } from "../../lib/names";
import { Chips } from "../../ui/chips";
import { Dialog } from "../../ui/dialog";
import { Check, Radios, Select, Text } from "../../ui/form";
import { useLoad } from "../../ui/load";

const PROTOCOLS = [
  ["", "Anything"],
  ["tcp", "TCP"],
  ["udp", "UDP"],
  ["icmp", "ICMP"],
  ["number", "Another, by number"],
] as const;

const SUGGESTED = 8;

/** The form of a rule. */
export function RuleDialog({ rule, names, onClose, onDone }: { rule: RuleInput; names: Map<string, string>; onClose: () => void; onDone: (rule: RuleInput) => void }): JSX.Element {
  const numbered = rule.protocol && !["tcp", "udp", "icmp"].includes(rule.protocol);
  const [name, setName] = useState(rule.name ?? "");
  const [action, setAction] = useState(rule.action);
  const [from, setFrom] = useState(rule.from);
  const [to, setTo] = useState(rule.to);
  const [protocol, setProtocol] = useState<string>(numbered ? "number" : (rule.protocol ?? ""));
  const [number, setNumber] = useState(numbered ? (rule.protocol ?? "") : "");
  const [ports, setPorts] = useState(rule.ports.join(", "));
  const [log, setLog] = useState(rule.log);
  const [found, setFound] = useState(names);
  const groups = useLoad("groups", (signal) => get<{ items: Group[] }>("/groups", { signal }));
  const ported = protocol === "tcp" || protocol === "udp";

  const suggest = async (text: string): Promise<string[]> => {
    const wanted = text.replace(/^(group|peer):/, "").toLowerCase();
    const fitting = (groups.data?.items ?? []).map((group) => `group:${group.name}`).filter((group) => group.toLowerCase().includes(wanted));
    if (wanted.length < 2) return fitting.slice(0, SUGGESTED);
    const peers = (await get<Peers>("/peers", { query: { q: wanted, limit: SUGGESTED } })).items;
    return [...fitting.slice(0, SUGGESTED), ...peers.flatMap((peer) => (peer.name ? [`peer:${peer.name}`] : [`peer:${peer.public_key}`]))];
  };
  // A peer is named by its name here and by its key in the rule, which stays right when it is renamed.
  const resolve = async (text: string): Promise<string> => {
    if (!text.startsWith("peer:") || isKey(text.slice(5))) return text;
    const wanted = text.slice(5);
    const peers = (await get<Peers>("/peers", { query: { q: wanted, limit: 100 } })).items.filter((peer) => peer.name === wanted);
    const only = peers.length === 1 ? peers[0] : undefined;
    if (!only) return text;
    setFound((known) => new Map([...known, [only.public_key, wanted]]));
    return `peer:${only.public_key}`;
  };
  const show = (value: string) => {
    const key = value.startsWith("peer:") ? value.slice(5) : "";
    return isKey(key) ? `peer ${found.get(key) ?? shortKey(key)}` : value.replace(/^group:/, "group ");
  };
  const done = () =>
    onDone({ name: name.trim() || null, action, from, to, protocol: protocol === "number" ? number.trim() : protocol || null, ports: ported ? listed(ports) : [], log });

  return (
    <Dialog
      title="Rule"
      onClose={onClose}
      foot={
        <>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" form="rule-form" class="button primary">
            Take into the list
          </button>
        </>
      }
    >
      <form
        id="rule-form"
        class="form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          done();
        }}
      >
        <Radios
          label="What becomes of it"
          name="action"
          value={action}
          onChange={setAction}
          options={[
            { value: "deny", label: "Deny", help: "Dropped and counted." },
            { value: "accept", label: "Accept", help: "Passes; later rules do not matter." },
          ]}
        />
        <Chips label="From" name="from" optional values={from} onChange={setFrom} show={show} resolve={resolve} suggest={suggest} placeholder="group:NAME or peer:NAME" help="Nothing is everybody." />
        <Chips label="To" name="to" optional values={to} onChange={setTo} show={show} resolve={resolve} suggest={suggest} placeholder="10.0.0.0/8, group:NAME or peer:NAME" help="Nothing is anywhere." />
        <div class="fields">
          <Select label="Traffic" name="protocol" value={protocol as ""} options={PROTOCOLS as readonly (readonly ["", string])[]} onChange={setProtocol} />
          {protocol === "number" && <Text label="Protocol number" name="number" value={number} onChange={setNumber} input={{ type: "number", min: 0, max: 255 }} />}
          {ported && <Text label="Ports" name="ports" optional value={ports} onChange={setPorts} help="Such as 80, 443, 8000-8100. Nothing is all." input={{ class: "code" }} />}
        </div>
        <Text label="Name" name="name" optional value={name} onChange={setName} help="Appears in the audit log and beside denied flows." />
        <Check label="Tell of flows that it denies" checked={log} onChange={setLog} />
      </form>
    </Dialog>
  );
}
