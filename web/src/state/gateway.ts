// The gateway as the page knows it: the last minutes by the second, who is connected, what is wrong, and the changes
// that wait to be kept. One copy for all pages, fed by the stream of events.

import { batch, signal } from "@preact/signals";
import { get, send } from "../api/client";
import { listen } from "../api/live";
import type { Alert, Changed, DeniedFlow, PeerStateChanged, PendingChange, Status, StatusTick, Throughput } from "../api/types";
import { appended, type Series } from "../lib/series";

/** Seconds that the live charts show. */
export const LIVE_S = 300;
const RECENT_MOST = 40;

/** `[unix_s, rx_bps, tx_bps, rx_pps, tx_pps, handshakes, drops]`, by column. */
export const throughput = signal<Series>([[], [], [], [], [], [], []]);
/** The last second. */
export const tick = signal<StatusTick | null>(null);
/** How the gateway is, read every few seconds by the pages that show it. */
export const status = signal<Status | null>(null);
/** What is wrong now; null until it was read. */
export const alerts = signal<Alert[] | null>(null);
/** Changes that revert unless somebody keeps them. */
export const pending = signal<PendingChange[]>([]);
/** Whether the data plane is there; null until it is known. */
export const present = signal<boolean | null>(null);
/** The configuration changed: counted up, for pages that show it to read again. */
export const changes = signal<{ turn: number; last: Changed | null }>({ turn: 0, last: null });

/** Something that happened while the page was open. */
export type Happening = { kind: "state"; event: PeerStateChanged } | { kind: "denied"; event: DeniedFlow };
export const recent = signal<Happening[]>([]);

/** Reads what the stream tells only changes of. */
export async function readGateway(): Promise<void> {
  await Promise.allSettled([
    get<Status>("/status").then(setStatus),
    get<Throughput>("/throughput").then((past) => {
      throughput.value = columns(past);
    }),
    readAlerts(),
    readPending(),
  ]);
}

/** Reads the status again. */
export async function readStatus(): Promise<void> {
  setStatus(await get<Status>("/status"));
}

function setStatus(next: Status): void {
  batch(() => {
    status.value = next;
    present.value = next.dataplane !== null;
  });
}

/** Reads the alerts again. */
export async function readAlerts(): Promise<void> {
  alerts.value = (await get<{ items: Alert[] }>("/alerts")).items;
}

/** Reads again which changes wait. */
export async function readPending(): Promise<void> {
  pending.value = (await get<{ items: PendingChange[] }>("/changes")).items;
}

/** Keeps a change. */
export async function keepChange(id: string): Promise<void> {
  await send("POST", `/changes/${encodeURIComponent(id)}/confirmation`);
  await readPending();
}

/** Takes a change back now. */
export async function revertChange(id: string): Promise<void> {
  await send("DELETE", `/changes/${encodeURIComponent(id)}`);
  await readPending();
}

function columns(past: Throughput): Series {
  const series: Series = [[], [], [], [], [], [], []];
  for (const point of past.points) point.forEach((value, column) => series[column]?.push(value));
  return series;
}

/** Hears the stream. */
export function followGateway(): void {
  listen("status", (now) => {
    batch(() => {
      tick.value = now;
      present.value = now.dataplane;
      throughput.value = appended(throughput.peek(), [now.unix_s, now.rx_bps, now.tx_bps, now.rx_pps, now.tx_pps, now.handshakes, now.drops], LIVE_S);
    });
  });
  listen("alert", ({ raised, alert }) => {
    const others = (alerts.peek() ?? []).filter((known) => known.id !== alert.id);
    alerts.value = raised ? [alert, ...others] : others;
  });
  listen("change", (change) => {
    changes.value = { turn: changes.peek().turn + 1, last: change };
    void readPending().catch(() => undefined);
  });
  listen("peer_state", (event) => note({ kind: "state", event }));
  listen("denied", (event) => note({ kind: "denied", event }));
  listen("lost", () => void readGateway());
}

function note(happening: Happening): void {
  recent.value = [happening, ...recent.peek()].slice(0, RECENT_MOST);
}
