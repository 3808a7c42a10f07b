// What happened lately: peers that came and went while the page was open, and handshakes that were refused.

import type { JSX } from "preact";
import type { DeniedFlow, PeerStateChanged, RefusedHandshake } from "../../api/types";
import { count } from "../../lib/format";
import { keyToPath } from "../../lib/keys";
import { called } from "../../lib/names";
import type { Happening } from "../../state/gateway";
import { Icon } from "../../ui/icons";
import { Ago } from "../../ui/parts";
import { Shape, SHOWN_WORDS, toneOf, type Shown } from "../../ui/state";

const REFUSALS: Record<string, string> = {
  wrong_mac1: "it was made for another server key",
  unknown_peer: "its key is no peer's",
  old_timestamp: "its timestamp is not newer than the last",
  undecryptable: "it cannot be decrypted",
  wrong_preshared_key: "the preshared keys differ",
  too_many: "too many came too fast",
};

const MOST = 12;

/** The newest of both. */
export function Recent({ happenings, refused }: { happenings: Happening[]; refused: RefusedHandshake[] }): JSX.Element {
  return (
    <section class="card" aria-labelledby="recent-h">
      <div class="head">
        <h2 id="recent-h">Lately</h2>
        <span class="aside small muted">peers since this page was opened</span>
      </div>
      {happenings.length === 0 && refused.length === 0 && <p class="muted">Quiet so far.</p>}
      <ul class="feed">
        {happenings.slice(0, MOST).map((happening, place) => (happening.kind === "state" ? <StateLine key={place} event={happening.event} /> : <DeniedLine key={place} event={happening.event} />))}
        {refused.slice(0, MOST).map((event) => (
          <li key={`${event.source} ${event.why} ${event.peer}`}>
            <span class="bad">
              <Icon name="warning" />
            </span>
            <span>
              Handshake from <code>{event.source}</code> refused: {REFUSALS[event.why] ?? event.why}
              {event.count > 1 && ` (${count(event.count)} times)`}
              {event.peer && event.why === "unknown_peer" && (
                <>
                  , <code title={event.peer}>{event.peer.slice(0, 10)}…</code>
                </>
              )}
              {event.peer && event.why !== "unknown_peer" && (
                <>
                  , <a href={`#/peers/${keyToPath(event.peer)}`}>peer {event.peer.slice(0, 8)}…</a>
                </>
              )}
            </span>
            <Ago at={event.at} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function StateLine({ event }: { event: PeerStateChanged }): JSX.Element {
  const shown: Shown = event.state === "disconnected" ? "gone" : event.state;
  return (
    <li>
      <span class={toneOf(shown)}>
        <Shape shown={shown} />
      </span>
      <span>
        <a href={`#/peers/${keyToPath(event.public_key)}`}>{called(event)}</a> {SHOWN_WORDS[shown].toLowerCase()}: {event.reason}
      </span>
      <Ago at={event.at} />
    </li>
  );
}

function DeniedLine({ event }: { event: DeniedFlow }): JSX.Element {
  return (
    <li>
      <span class="warn">
        <Icon name="rules" />
      </span>
      <span>
        Denied{event.rule && <> by {event.rule}</>}: <code>{event.source}</code> to <code>{event.destination}</code>, {event.protocol}
        {event.port !== null && ` ${event.port}`}
        {event.public_key && (
          <>
            , <a href={`#/peers/${keyToPath(event.public_key)}`}>the peer</a>
          </>
        )}
      </span>
      <Ago at={event.at} />
    </li>
  );
}
