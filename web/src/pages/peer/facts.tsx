// What is known of a peer, and the configuration its client starts from.

import type { JSX } from "preact";
import { download, told } from "../../api/client";
import type { Peer } from "../../api/types";
import { bytes, milliseconds } from "../../lib/format";
import { keyToPath } from "../../lib/keys";
import { called } from "../../lib/names";
import { confName } from "../../ui/handout";
import { Icon } from "../../ui/icons";
import { Ago, At, save } from "../../ui/parts";
import { PeerStateMark } from "../../ui/state";
import { say } from "../../ui/toasts";

/** State, places, counters. */
export function Facts({ peer }: { peer: Peer }): JSX.Element {
  const { live } = peer;
  return (
    <section class="card" aria-labelledby="facts-h">
      <div class="head">
        <h2 id="facts-h">State</h2>
      </div>
      <dl class="facts">
        <dt>State</dt>
        <dd>
          <PeerStateMark peer={peer} />{" "}
          {live.state_since && (
            <span class="muted small">
              since <Ago at={live.state_since} />
            </span>
          )}
        </dd>
        <dt>Because</dt>
        <dd>{live.state_reason || "–"}</dd>
        {live.trouble && (
          <>
            <dt>Trouble</dt>
            <dd class="bad">{live.trouble}</dd>
          </>
        )}
        <dt>Last handshake</dt>
        <dd>
          <Ago at={live.last_handshake_at} />
        </dd>
        <dt>Reached at</dt>
        <dd>{live.endpoint ? <code>{live.endpoint}</code> : "–"}</dd>
        <dt>Latency</dt>
        <dd>{milliseconds(live.latency_ms)}</dd>
        <dt>Handshake took</dt>
        <dd>{milliseconds(live.handshake_ms)}</dd>
        <dt>Received</dt>
        <dd>
          {bytes(live.rx_bytes_total)} <span class="muted small">{bytes(live.rx_bytes)} since the start</span>
        </dd>
        <dt>Sent</dt>
        <dd>
          {bytes(live.tx_bytes_total)} <span class="muted small">{bytes(live.tx_bytes)} since the start</span>
        </dd>
        <dt>Allowed IPs</dt>
        <dd class="mono">
          {peer.allowed_ips.map((network) => (
            <span class="block" key={network}>
              {network}
            </span>
          ))}
        </dd>
        <dt>Groups</dt>
        <dd>
          {peer.groups.length === 0
            ? "none"
            : peer.groups.map((group) => (
                <a class="tag" key={group} href={`#/peers?group=${encodeURIComponent(group)}`}>
                  {group}
                </a>
              ))}
        </dd>
        <dt>Preshared key</dt>
        <dd>{peer.has_preshared_key ? "set" : "none"}</dd>
        {peer.persistent_keepalive ? (
          <>
            <dt>Keepalive</dt>
            <dd>every {peer.persistent_keepalive} s</dd>
          </>
        ) : null}
        {peer.expires_at && (
          <>
            <dt>Expires</dt>
            <dd>
              <Ago at={peer.expires_at} />
            </dd>
          </>
        )}
        {live.shard !== null && (
          <>
            <dt>Shard</dt>
            <dd>{live.shard}</dd>
          </>
        )}
        {peer.created_at && (
          <>
            <dt>Added</dt>
            <dd>
              <At at={peer.created_at} />
            </dd>
          </>
        )}
        {peer.notes && (
          <>
            <dt>Notes</dt>
            <dd class="notes">{peer.notes}</dd>
          </>
        )}
      </dl>
    </section>
  );
}

/** The client's configuration without what only the client knows. */
export function ClientConfig({ peer }: { peer: Peer }): JSX.Element {
  const fetchIt = async () => {
    try {
      save(confName(called(peer)), await download("GET", `/peers/${keyToPath(peer.public_key)}/config`));
    } catch (error) {
      say(told(error));
    }
  };
  return (
    <section class="card stack tight" aria-labelledby="conf-h">
      <h2 id="conf-h">Client's configuration</h2>
      <p class="muted small">Without the private and the preshared key, which are not shown again. Those the client has, or is given anew.</p>
      <div>
        <button type="button" class="button" onClick={() => void fetchIt()}>
          <Icon name="download" /> Download the template
        </button>
      </div>
    </section>
  );
}
