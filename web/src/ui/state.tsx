// A peer's state at a glance: always a word and a shape, the colour only underlines them.

import type { JSX } from "preact";
import type { Peer } from "../api/types";
import { instant } from "../lib/format";
import { present } from "./parts";

/** What a peer is shown as. */
export type Shown = "connected" | "rekeying" | "handshaking" | "init" | "gone" | "degraded" | "disabled" | "expired" | "conflict" | "absent";

/** The word for it. */
export const SHOWN_WORDS: Record<Shown, string> = {
  connected: "Connected",
  rekeying: "Rekeying",
  handshaking: "Handshaking",
  init: "Waiting",
  gone: "Gone",
  degraded: "Degraded",
  disabled: "Disabled",
  expired: "Expired",
  conflict: "Conflict",
  absent: "Absent",
};

const TONES: Record<Shown, string> = {
  connected: "ok",
  rekeying: "ok",
  handshaking: "warn",
  init: "muted",
  gone: "bad",
  degraded: "warn",
  disabled: "muted",
  expired: "warn",
  conflict: "bad",
  absent: "muted",
};

/** What a peer is shown as. The store's wishes come first: a disabled peer is no failure. */
export function shownAs(peer: Pick<Peer, "disabled" | "expires_at" | "live" | "conflict">, now: number): Shown {
  if (peer.disabled) return "disabled";
  const expires = instant(peer.expires_at);
  if (expires !== null && expires <= now) return "expired";
  if (peer.live.state === "absent") return peer.conflict ? "conflict" : "absent";
  if (peer.live.state === "disconnected") return "gone";
  if (peer.live.health === "degraded") return "degraded";
  return peer.live.state;
}

/** The tone of a state, a class. */
export const toneOf = (shown: Shown): string => TONES[shown];

/** A state's shape on a grid of 12: no two differ by colour alone. Bare, it is a part of a larger drawing. */
export function Shape({ shown, bare = false }: { shown: Shown; bare?: boolean }): JSX.Element {
  const line = { fill: "none", stroke: "currentColor", "stroke-width": 1.8 } as const;
  const shape: Record<Shown, JSX.Element> = {
    connected: <circle cx="6" cy="6" r="5" fill="currentColor" />,
    rekeying: (
      <>
        <circle cx="6" cy="6" r="4.6" {...line} stroke-width="1.4" />
        <circle cx="6" cy="6" r="2.3" fill="currentColor" />
      </>
    ),
    handshaking: (
      <>
        <circle cx="6" cy="6" r="4.6" {...line} />
        <path d="M6 1.4a4.6 4.6 0 0 1 0 9.2Z" fill="currentColor" />
      </>
    ),
    init: <circle cx="6" cy="6" r="4.3" {...line} stroke-dasharray="2 1.6" />,
    gone: <path d="m2 2 8 8M10 2l-8 8" {...line} stroke-width="2.4" stroke-linecap="round" />,
    degraded: <path d="M6 .8 11.6 11H.4Z" fill="currentColor" />,
    disabled: <path d="M1.5 6h9" {...line} stroke-width="2.6" stroke-linecap="round" />,
    expired: <path d="M2 1h8L2 11h8Z" {...line} stroke-linejoin="round" />,
    conflict: <path d="M6 .6 11.4 6 6 11.4.6 6ZM6 3.6v3M6 8.3v.1" {...line} stroke-width="1.5" stroke-linejoin="round" />,
    absent: <rect x="2" y="2" width="8" height="8" {...line} />,
  };
  if (bare) return shape[shown];
  return (
    <svg viewBox="0 0 12 12" aria-hidden="true" focusable="false">
      {shape[shown]}
    </svg>
  );
}

/** A state's shape and word. */
export function StateMark({ shown, title }: { shown: Shown; title?: string | undefined }): JSX.Element {
  return (
    <span class={`state ${TONES[shown]}`} data-state={shown} title={title}>
      <Shape shown={shown} />
      {SHOWN_WORDS[shown]}
    </span>
  );
}

/** The state of a peer, the reason on hovering. */
export function PeerStateMark({ peer }: { peer: Pick<Peer, "disabled" | "expires_at" | "live" | "conflict"> }): JSX.Element {
  return <StateMark shown={shownAs(peer, present.value)} title={peer.conflict ?? peer.live.trouble ?? peer.live.state_reason} />;
}
