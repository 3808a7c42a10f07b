// Adding a peer: one field is enough. What the client needs is shown once, afterwards.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get, send } from "../api/client";
import type { Group, PeerCreated, PeerInput } from "../api/types";
import { keyToPath } from "../lib/keys";
import { called } from "../lib/names";
import { Check, Radios, Refusal, Text, useSending } from "../ui/form";
import { Handout } from "../ui/handout";
import { Icon } from "../ui/icons";
import { useLoad } from "../ui/load";
import { Note, PageHead } from "../ui/parts";
import { AddressField, DRAFT_FIELDS, EMPTY_DRAFT, inputOf, MoreFields, NameFields, type Draft } from "./peer/fields";

type Keys = "generate" | "given";
type Route = "split" | "full";

/** The page. */
export function AddPeer(): JSX.Element {
  const [created, setCreated] = useState<PeerCreated | null>(null);
  const [turn, setTurn] = useState(0);
  if (created) {
    return (
      <Created
        created={created}
        again={() => {
          setCreated(null);
          setTurn(turn + 1);
        }}
      />
    );
  }
  return (
    <>
      <PageHead title="Add a peer" lead="A name is enough: keys and addresses are made for you." crumb={<a href="#/peers">Peers</a>} />
      <PeerForm key={turn} onCreated={setCreated} />
    </>
  );
}

function PeerForm({ onCreated }: { onCreated: (created: PeerCreated) => void }): JSX.Element {
  const [draft, setDraft] = useState<Draft>(EMPTY_DRAFT);
  const [keys, setKeys] = useState<Keys>("generate");
  const [publicKey, setPublicKey] = useState("");
  const [preshared, setPreshared] = useState(true);
  const [route, setRoute] = useState<Route>("split");
  const groups = useLoad("groups", (signal) => get<{ items: Group[] }>("/groups", { signal }));
  const more = useRef<HTMLDetailsElement>(null);
  // The same key for every attempt with the same content: an answer that was lost is given again, not made again.
  const attempt = useRef({ body: "", key: "" });

  const [sending, submit] = useSending(DRAFT_FIELDS, async () => {
    const { allowed_ips, ...rest } = inputOf(draft);
    const body: PeerInput = { ...rest, full_tunnel: route === "full", preshared_key: preshared ? "generate" : null };
    if (allowed_ips.length > 0) body.allowed_ips = allowed_ips;
    if (keys === "given") body.public_key = publicKey.trim();
    const text = JSON.stringify(body);
    if (attempt.current.body !== text) attempt.current = { body: text, key: crypto.getRandomValues(new Uint32Array(4)).join("-") };
    onCreated((await send<PeerCreated>("POST", "/peers", { body, headers: { "Idempotency-Key": attempt.current.key } })).data);
  });
  const set = (change: Partial<Draft>) => setDraft((now) => ({ ...now, ...change }));
  const hidden = ["endpoint", "persistent_keepalive", "expires_at", "notes", "public_key", "preshared_key"].some((field) => sending.faults[field]);
  useEffect(() => {
    if (hidden && more.current) more.current.open = true;
  }, [hidden]);

  return (
    <form class="card form wide-form" onSubmit={submit} noValidate>
      <Refusal sending={sending} />
      <NameFields draft={draft} set={set} faults={sending.faults} groups={groups.data?.items ?? []} focus />
      <Radios
        label="What goes through the tunnel"
        name="route"
        value={route}
        onChange={setRoute}
        options={[
          { value: "split", label: "Only the networks behind this gateway", help: "The rest of the client's traffic stays as it is." },
          { value: "full", label: "All of the client's traffic", help: "The gateway must forward and translate it." },
        ]}
      />
      <AddressField draft={draft} set={set} faults={sending.faults} fresh />
      <details class="more" ref={more}>
        <summary>Keys, endpoint, expiry, notes</summary>
        <div class="form">
          <Radios
            label="Keys"
            name="keys"
            value={keys}
            onChange={setKeys}
            options={[
              { value: "generate", label: "Make them here", help: "The private key is shown once and not kept." },
              { value: "given", label: "The client made its own", help: "Only its public key is entered." },
            ]}
          />
          {keys === "given" && <Text label="Public key" name="public_key" value={publicKey} onChange={setPublicKey} faults={sending.faults} input={{ class: "code", spellcheck: false }} />}
          <Check label="Preshared key" help="A second secret besides the keys. It guards recorded traffic against quantum computers." checked={preshared} onChange={setPreshared} />
          <MoreFields draft={draft} set={set} faults={sending.faults} />
        </div>
      </details>
      <div class="form-foot">
        <button type="submit" class="button primary" aria-disabled={sending.busy}>
          {sending.busy ? "Adding…" : "Add the peer"}
        </button>
        <a class="button ghost" href="#/peers">
          Cancel
        </a>
      </div>
    </form>
  );
}

function Created({ created, again }: { created: PeerCreated; again: () => void }): JSX.Element {
  const head = useRef<HTMLDivElement>(null);
  useEffect(() => {
    scrollTo(0, 0);
    head.current?.querySelector<HTMLElement>("h1")?.focus();
  }, []);
  const { peer, config } = created;
  return (
    <>
      <div ref={head}>
        <PageHead title={`${called(peer)} is added`} lead={`Its addresses are ${peer.allowed_ips.join(", ")}.`} crumb={<a href="#/peers">Peers</a>}>
          <a class="button" href={`#/peers/${keyToPath(peer.public_key)}`}>
            Open the peer
          </a>
          <button type="button" class="button" onClick={again}>
            <Icon name="plus" /> Add another
          </button>
        </PageHead>
      </div>
      <section class="card" aria-label="Configuration for the client">
        {config === null ? <Note>The client made its own keys: its page has a configuration to fill in.</Note> : <Handout name={called(peer)} config={config} />}
      </section>
    </>
  );
}
