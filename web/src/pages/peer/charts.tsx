// What a peer carries: by the second while its page is open, and over the last thirty days.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../../api/client";
import { listen } from "../../api/live";
import type { History, HistoryRange, Peer } from "../../api/types";
import { bitRate, bytes, count } from "../../lib/format";
import { keyToPath } from "../../lib/keys";
import { appended, historyRates, rate, type Series } from "../../lib/series";
import { go, href, route } from "../../router";
import { LIVE_S } from "../../state/gateway";
import { Chart } from "../../ui/chart";
import { useEvery, useLoad } from "../../ui/load";
import { Failure, Loading, Segments } from "../../ui/parts";

const LINES = [
  { label: "Received", color: "--rx", fill: true },
  { label: "Sent", color: "--tx", fill: true },
];

/** The last seconds. Counters that begin anew, as after a restart of the data plane, leave a gap and no spike. */
export function LiveChart({ peer }: { peer: Peer }): JSX.Element {
  const [series, setSeries] = useState<Series>([[], [], []]);
  const before = useRef<{ at: number; rx: number; tx: number } | null>(null);
  useEffect(
    () =>
      listen("peer", (event) => {
        if (event.public_key !== peer.public_key) return;
        const now = { at: event.unix_s, rx: event.live.rx_bytes, tx: event.live.tx_bytes };
        const last = before.current;
        before.current = now;
        if (!last || now.at <= last.at) return;
        const rx = rate(last.rx, now.rx, now.at - last.at);
        const tx = rate(last.tx, now.tx, now.at - last.at);
        setSeries((known) => appended(known, [now.at, (rx ?? 0) * 8, (tx ?? 0) * 8], LIVE_S));
      }),
    [peer.public_key],
  );
  const [at = [], rx = [], tx = []] = series;
  if (at.length === 0) return <p class="muted chart-wait">Waiting for the first seconds…</p>;
  return <Chart least={1000} spanS={60} height={190} label={`Now ${bitRate(rx[rx.length - 1])} received, ${bitRate(tx[tx.length - 1])} sent.`} unit={bitRate} lines={LINES} data={[at, rx, tx]} />;
}

const RANGES = [
  ["1h", "1 h"],
  ["24h", "24 h"],
  ["7d", "7 d"],
  ["30d", "30 d"],
] as const;

const SPANS: Record<HistoryRange, number> = { "1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 };
const REFRESH_MS = 60_000;

/** The history. Its range is in the address. */
export function PastChart({ publicKey }: { publicKey: string }): JSX.Element {
  const asked = route.value.query.get("range") as HistoryRange | null;
  const range: HistoryRange = asked && asked in SPANS ? asked : "24h";
  const path = `/peers/${keyToPath(publicKey)}/history`;
  const loaded = useLoad(`${path}?${range}`, (signal) => get<History>(path, { query: { range }, signal }));
  useEvery(REFRESH_MS, loaded.reload);
  const history = loaded.data;
  return (
    <>
      <div class="head">
        <h2 id="past-h">History</h2>
        <span class="aside">
          <Segments label="Range" value={range} options={RANGES} onChange={(next) => go(href(["peers", keyToPath(publicKey)], { range: next === "24h" ? undefined : next }), true)} />
        </span>
      </div>
      {loaded.error !== null && <Failure error={loaded.error} again={loaded.reload} />}
      {!history && loaded.error === null && <Loading />}
      {history && <Past history={history} range={range} />}
    </>
  );
}

function Past({ history, range }: { history: History; range: HistoryRange }): JSX.Element {
  if (history.points.length === 0) return <p class="muted chart-wait">Nothing is recorded for this time.</p>;
  const sum = (column: 1 | 2 | 3) => history.points.reduce((total, point) => total + point[column], 0);
  const [at = [], rx = [], tx = []] = historyRates(history.points, history.step_s);
  const words = `${bytes(sum(1))} received, ${bytes(sum(2))} sent, ${count(sum(3))} handshakes`;
  return (
    <div class="stack tight">
      <Chart least={1000} spanS={SPANS[range]} height={190} label={`Over ${range}: ${words}.`} unit={bitRate} lines={LINES} data={[at, rx, tx]} />
      <p class="small muted">In this time: {words}.</p>
    </div>
  );
}
