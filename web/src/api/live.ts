// The stream of events (server-sent) that keeps the page live. There is one stream for the whole page, asked to tell
// one peer's counters as well while that peer's page is open: browsers allow few connections to one host. It rests
// while the page is hidden, so that a forgotten tab costs the gateway nothing.

import { signal } from "@preact/signals";
import { Problem, get, session, sessionEnded } from "./client";
import type { Session, StreamEvents } from "./types";

/** How the stream is. */
export const streamState = signal<"resting" | "connecting" | "open" | "lost">("resting");

type Listener<K extends keyof StreamEvents> = (data: StreamEvents[K]) => void;
const listeners = new Map<keyof StreamEvents, Set<(data: never) => void>>();

let source: EventSource | null = null;
let peer: string | null = null;
let wanted = false;
let opened = false;
let retry: ReturnType<typeof setTimeout> | undefined;
let rest: ReturnType<typeof setTimeout> | undefined;
let failures = 0;
/** Whether events may have been missed since the last stream. */
let missed = false;

const HIDDEN_REST_MS = 20_000;
const RETRY_MOST_MS = 10_000;

/** Hears events of a kind until the function it returns is called. */
export function listen<K extends keyof StreamEvents>(kind: K, listener: Listener<K>): () => void {
  const set = listeners.get(kind) ?? new Set();
  listeners.set(kind, set);
  set.add(listener);
  source?.addEventListener(kind, dispatch);
  return () => set.delete(listener);
}

function dispatch(event: MessageEvent<string>): void {
  const set = listeners.get(event.type as keyof StreamEvents);
  if (!set || set.size === 0) return;
  const data = JSON.parse(event.data) as never;
  for (const listener of [...set]) listener(data);
}

/** Begins to listen, once somebody is signed in. */
export function startStream(): void {
  wanted = true;
  open();
}

/** Stops listening. */
export function stopStream(): void {
  wanted = false;
  close("resting");
}

/** Which peer's counters are wanted too, null for none. */
export function followPeer(key: string | null): void {
  if (key === peer) return;
  peer = key;
  if (wanted) open();
}

function close(state: "resting" | "connecting" | "lost"): void {
  clearTimeout(retry);
  source?.close();
  source = null;
  streamState.value = state;
}

function open(): void {
  close("connecting");
  const query = peer ? `?peer=${encodeURIComponent(peer)}` : "";
  const made = new EventSource(`/v1/events${query}`);
  source = made;
  for (const kind of listeners.keys()) made.addEventListener(kind, dispatch);
  made.onopen = () => {
    failures = 0;
    streamState.value = "open";
    // A stream of its own does not tell what happened before it: what is shown is read again.
    if (opened && missed) for (const listener of listeners.get("lost") ?? []) listener({ count: null } as never);
    opened = true;
    missed = false;
  };
  made.onerror = () => {
    if (source !== made) return;
    // A peer that was deleted is refused: the rest is still wanted.
    if (failures > 0) peer = null;
    lost();
  };
}

// The browser's own retry gives up on an answer other than 200, and hammers a server that closes at once: this one
// backs off, and asks whether the session still holds.
function lost(): void {
  close("lost");
  missed = true;
  failures += 1;
  retry = setTimeout(() => void again(), Math.min(RETRY_MOST_MS, 500 * 2 ** Math.min(failures, 5)));
}

async function again(): Promise<void> {
  if (!wanted) return;
  try {
    const now = await get<Session>("/session");
    if (session.peek()?.csrf_token !== now.csrf_token) session.value = now;
  } catch (error) {
    // Signed out shows as such; unreachable shows in the stream's state, and it tries on.
    if (error instanceof Problem && error.status === 401) sessionEnded.value = true;
  }
  if (wanted && !source) open();
}

/** Rests while nobody looks. */
export function followVisibility(): void {
  document.addEventListener("visibilitychange", () => {
    clearTimeout(rest);
    if (!wanted) return;
    if (!document.hidden) {
      if (!source) open();
      return;
    }
    rest = setTimeout(() => {
      missed = true;
      close("resting");
    }, HIDDEN_REST_MS);
  });
}
