// One peer: how it is, what it carried, why it does not connect, and its configuration.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Problem, read, send } from "../../api/client";
import { followPeer, listen } from "../../api/live";
import type { Live, Peer, PeerConfig } from "../../api/types";
import { keyToPath, shortKey } from "../../lib/keys";
import { called } from "../../lib/names";
import { go } from "../../router";
import { changes } from "../../state/gateway";
import { may } from "../../state/session";
import { Confirm, Dialog } from "../../ui/dialog";
import { Handout } from "../../ui/handout";
import { Icon } from "../../ui/icons";
import { useLoad } from "../../ui/load";
import { Copy, Failure, Loading, Note, PageHead } from "../../ui/parts";
import { PeerStateMark } from "../../ui/state";
import { say } from "../../ui/toasts";
import { EditPeer } from "./edit";
import { LiveChart, PastChart } from "./charts";
import { Diagnosis } from "./diagnosis";
import { ClientConfig, Facts } from "./facts";

/** The page of the peer with this key. */
export function PeerPage({ publicKey }: { publicKey: string }): JSX.Element {
  const path = `/peers/${keyToPath(publicKey)}`;
  const loaded = useLoad(path, (signal) => read<Peer>(path, { signal }));
  const [live, setLive] = useState<Live | null>(null);
  const there = loaded.data !== null;
  useEffect(() => {
    if (!there) return;
    followPeer(publicKey);
    const ends = [
      listen("peer", (event) => event.public_key === publicKey && setLive(event.live)),
      listen("peer_state", (event) => {
        if (event.public_key === publicKey) setLive((now) => now && { ...now, state: event.state, state_reason: event.reason, state_since: event.at });
      }),
    ];
    return () => {
      followPeer(null);
      for (const end of ends) end();
    };
  }, [publicKey, there]);
  const last = changes.value.last;
  useEffect(() => {
    if (changes.value.turn > 0 && (!last?.peers || last.peers.includes(publicKey))) loaded.reload();
  }, [changes.value.turn]);

  if (loaded.data === null) {
    const gone = loaded.error instanceof Problem && loaded.error.status === 404;
    return (
      <>
        <PageHead title={gone ? "No such peer" : `Peer ${shortKey(publicKey)}`} crumb={<a href="#/peers">Peers</a>} />
        {gone ? <p>No peer has the key <code class="break">{publicKey}</code>. It may have been deleted.</p> : loaded.error !== null ? <Failure error={loaded.error} again={loaded.reload} /> : <Loading />}
      </>
    );
  }
  const peer = { ...loaded.data.data, live: live ?? loaded.data.data.live };
  return <PeerView peer={peer} etag={loaded.data.etag} reload={loaded.reload} />;
}

function PeerView({ peer, etag, reload }: { peer: Peer; etag: string | null; reload: () => void }): JSX.Element {
  const writable = may("peers:write") && peer.owner === "control";
  return (
    <>
      <PageHead title={called(peer)} crumb={<a href="#/peers">Peers</a>} beside={<PeerStateMark peer={peer} />}>
        {writable && <Actions peer={peer} reload={reload} />}
      </PageHead>
      <div class="row tight-row subhead">
        <code class="break">{peer.public_key}</code>
        <Copy text={peer.public_key} label="Public key" />
      </div>
      {peer.owner === "file" && (
        <Note icon="lock">
          This peer is declared in <code>weir.toml</code>, which is read-only here. Change it there, then run <code>weir reload</code>.
        </Note>
      )}
      {peer.conflict && (
        <Note tone="bad">
          <p class="strong">In conflict: not in force as declared here.</p>
          <p class="plain-ink">{peer.conflict}</p>
        </Note>
      )}
      <div class="grid-side">
        <div class="stack">
          <section class="card" aria-labelledby="now-h">
            <div class="head">
              <h2 id="now-h">Now</h2>
              <span class="aside small muted">one point a second</span>
            </div>
            <LiveChart peer={peer} />
          </section>
          <section class="card" aria-labelledby="past-h">
            <PastChart publicKey={peer.public_key} />
          </section>
          <Diagnosis peer={peer} />
        </div>
        <div class="stack">
          <Facts peer={peer} />
          {writable ? <EditPeer peer={peer} etag={etag} reload={reload} /> : null}
          <ClientConfig peer={peer} />
        </div>
      </div>
    </>
  );
}

function Actions({ peer, reload }: { peer: Peer; reload: () => void }): JSX.Element {
  const [asking, setAsking] = useState<"disable" | "rotate" | "delete" | null>(null);
  const [rotated, setRotated] = useState<string | null>(null);
  const path = `/peers/${keyToPath(peer.public_key)}`;
  const close = () => setAsking(null);
  const name = called(peer);
  const toggle = async () => {
    await send("PATCH", path, { body: { disabled: !peer.disabled } });
    say(peer.disabled ? `${name} is enabled.` : `${name} is disabled.`);
    close();
    reload();
  };
  return (
    <>
      <button type="button" class="button" onClick={() => setAsking("disable")}>
        {peer.disabled ? "Enable" : "Disable"}
      </button>
      <button type="button" class="button" onClick={() => setAsking("rotate")}>
        <Icon name="key" /> {peer.has_preshared_key ? "Rotate preshared key" : "Add a preshared key"}
      </button>
      <button type="button" class="button danger" onClick={() => setAsking("delete")}>
        <Icon name="trash" /> Delete
      </button>
      {asking === "disable" && (
        <Confirm title={peer.disabled ? `Enable ${name}?` : `Disable ${name}?`} action={peer.disabled ? "Enable" : "Disable"} onClose={close} run={toggle}>
          <p>{peer.disabled ? "It can connect again at once." : "Its session ends at once, and it cannot connect until it is enabled again. Nothing of it is forgotten."}</p>
        </Confirm>
      )}
      {asking === "rotate" && (
        <Confirm
          title="A new preshared key?"
          action="Make a new key"
          onClose={close}
          run={async () => {
            const { config } = (await send<PeerConfig>("POST", `${path}/preshared-key`)).data;
            close();
            setRotated(config);
            reload();
          }}
        >
          <p>The client cannot make new sessions until the new key is in its configuration too. The session that it has goes on for up to three minutes.</p>
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm
          title={`Delete ${name}?`}
          action="Delete"
          danger
          onClose={close}
          run={async () => {
            await send("DELETE", path);
            say(`${name} is deleted.`);
            go("#/peers");
          }}
        >
          <p>Its session ends at once. Its keys, addresses and history are forgotten here; the audit log keeps that it was.</p>
        </Confirm>
      )}
      {rotated !== null && (
        <Dialog
          wide
          locked
          title={`New preshared key of ${name}`}
          onClose={() => setRotated(null)}
          foot={
            <button type="button" class="button primary" onClick={() => setRotated(null)}>
              I have it
            </button>
          }
        >
          <Handout name={name} config={rotated} whole={false} />
        </Dialog>
      )}
    </>
  );
}
