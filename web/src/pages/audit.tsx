// Who changed what, whether the log is whole, and the report for auditors.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { download, get, serverNow, told } from "../api/client";
import type { AuditEntry, AuditPage, AuditVerification } from "../api/types";
import { count } from "../lib/format";
import { isKey, keyToPath, shortKey } from "../lib/keys";
import { daysFrom, fromLocal, toLocal } from "../lib/times";
import { go, href, route } from "../router";
import { Select, Text } from "../ui/form";
import { Icon } from "../ui/icons";
import { useLoad } from "../ui/load";
import { At, Failure, Loading, Note, PageHead, save, Scroller } from "../ui/parts";
import { say } from "../ui/toasts";

const PAGE = 50;

interface Query {
  actor: string;
  target: string;
  from: string;
  to: string;
}

/** The audit page. Its filter is in the address. */
export function Audit(): JSX.Element {
  const { query: asked } = route.value;
  const query: Query = { actor: asked.get("actor") ?? "", target: asked.get("target") ?? "", from: asked.get("from") ?? "", to: asked.get("to") ?? "" };
  return (
    <>
      <PageHead title="Audit log" lead="Every change and every refused sign-in, in a chain of hashes: what is altered or removed afterwards shows." />
      <div class="grid2">
        <Verification />
        <Report />
      </div>
      <Filter query={query} />
      <Entries key={JSON.stringify(query)} query={query} />
    </>
  );
}

function Filter({ query }: { query: Query }): JSX.Element {
  const [draft, setDraft] = useState({ actor: query.actor, target: query.target, from: toLocal(query.from), to: toLocal(query.to) });
  const set = (change: Partial<typeof draft>) => setDraft({ ...draft, ...change });
  return (
    <form
      class="card fields audit-filter"
      role="search"
      aria-label="Filter the audit log"
      onSubmit={(event) => {
        event.preventDefault();
        go(href(["audit"], { actor: draft.actor.trim(), target: draft.target.trim(), from: fromLocal(draft.from) ?? "", to: fromLocal(draft.to) ?? "" }), true);
      }}
    >
      <Text label="Who" name="actor" value={draft.actor} onChange={(actor) => set({ actor })} input={{ placeholder: "user:anna, token, wg", autocapitalize: "none" }} />
      <Text label="What" name="target" value={draft.target} onChange={(target) => set({ target })} input={{ placeholder: "peer/KEY, rules, user/anna", autocapitalize: "none" }} />
      <Text label="From" name="from" value={draft.from} onChange={(from) => set({ from })} input={{ type: "datetime-local" }} />
      <Text label="Until" name="to" value={draft.to} onChange={(to) => set({ to })} input={{ type: "datetime-local" }} />
      <button type="submit" class="button">
        <Icon name="search" /> Filter
      </button>
    </form>
  );
}

function Entries({ query }: { query: Query }): JSX.Element {
  const [items, setItems] = useState<AuditEntry[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [busy, setBusy] = useState(true);
  const [error, setError] = useState<unknown>(null);
  const more = async (cursor: string | null) => {
    setBusy(true);
    setError(null);
    try {
      const page = await get<AuditPage>("/audit", { query: { ...query, cursor, limit: PAGE } });
      setItems((known) => (cursor === null ? page.items : [...known, ...page.items]));
      setNext(page.next_cursor);
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  useEffect(() => void more(null), []);
  return (
    <section class="card flush" aria-label="Entries">
      {error !== null && <Failure error={error} again={() => void more(next)} />}
      {busy && items.length === 0 && <Loading />}
      {!busy && items.length === 0 && error === null && <p class="empty">No entry matches.</p>}
      {items.length > 0 && (
        <Scroller label="Audit log">
          <table class="audit stack-rows">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Who</th>
                <th scope="col">Did</th>
                <th scope="col">To what</th>
                <th scope="col">Before and after</th>
              </tr>
            </thead>
            <tbody>
              {items.map((entry) => (
                <Entry key={entry.number} entry={entry} />
              ))}
            </tbody>
          </table>
        </Scroller>
      )}
      {next !== null && (
        <div class="rules-foot">
          <button type="button" class="button" aria-disabled={busy} onClick={() => !busy && void more(next)}>
            {busy ? "Loading…" : "Older entries"}
          </button>
        </div>
      )}
    </section>
  );
}

function Entry({ entry }: { entry: AuditEntry }): JSX.Element {
  return (
    <tr>
      <td>
        <At at={entry.at} />
        <span class="block small muted" title={`Hash ${entry.hash}`}>
          no. {count(entry.number)}
        </span>
      </td>
      <td>
        {entry.actor}
        {entry.source && <span class="block small muted">{entry.source}</span>}
      </td>
      <th scope="row">{entry.action}</th>
      <td>
        <Target target={entry.target} />
      </td>
      <td>
        {entry.before === null && entry.after === null ? (
          <span class="muted">–</span>
        ) : (
          <details>
            <summary>Show</summary>
            <Side word="Before" value={entry.before} />
            <Side word="After" value={entry.after} />
          </details>
        )}
      </td>
    </tr>
  );
}

function Target({ target }: { target: string }): JSX.Element {
  const key = target.replace(/^peer\//, "");
  if (!isKey(key)) return <span class="break">{target || "–"}</span>;
  return (
    <a href={`#/peers/${keyToPath(key)}`} title={key}>
      peer {shortKey(key)}
    </a>
  );
}

function Side({ word, value }: { word: string; value: unknown }): JSX.Element | null {
  if (value === null || value === undefined) return null;
  return (
    <>
      <p class="small strong">{word}</p>
      <pre class="conf" tabIndex={0}>
        {typeof value === "string" ? value : JSON.stringify(value, null, 1)}
      </pre>
    </>
  );
}

function Verification(): JSX.Element {
  const loaded = useLoad("verification", (signal) => get<AuditVerification>("/audit/verification", { signal }));
  const found = loaded.data;
  return (
    <section class="card stack tight" aria-labelledby="whole-h">
      <h2 id="whole-h">Is the log whole?</h2>
      {loaded.error !== null && <Failure error={loaded.error} again={loaded.reload} />}
      {!found && loaded.error === null && <Loading what="Reading every entry…" />}
      {found?.intact && (
        <Note tone="ok" icon="check">
          Whole: {count(found.entries)} entries, each as it was written and none missing.
        </Note>
      )}
      {found && !found.intact && (
        <Note tone="bad" live>
          <p class="strong">Not whole.</p>
          <p class="plain-ink">{found.trouble}</p>
        </Note>
      )}
      {found?.newest_hash && (
        <p class="small muted">
          Newest hash <code class="break">{found.newest_hash}</code>. Written down elsewhere, it proves later that nothing was cut off.
        </p>
      )}
    </section>
  );
}

type Period = "1" | "7" | "30" | "90" | "365";
const PERIODS = [
  ["7", "Last 7 days"],
  ["30", "Last 30 days"],
  ["90", "Last 90 days"],
  ["365", "Last 365 days"],
] as const;

function Report(): JSX.Element {
  const [period, setPeriod] = useState<Period>("30");
  const fetchIt = async (format: "csv" | "json") => {
    const now = serverNow();
    try {
      const file = await download("GET", "/compliance", { query: { from: daysFrom(now, -Number(period)), to: daysFrom(now, 0), format } });
      save(`weir-compliance-${daysFrom(now, 0).slice(0, 10)}.${format}`, file);
    } catch (error) {
      say(told(error));
    }
  };
  return (
    <section class="card stack tight" aria-labelledby="report-h">
      <h2 id="report-h">Compliance report</h2>
      <p class="muted small">Peers, handshakes, bytes, changes, refused sign-ins and denied flows of a period.</p>
      <Select label="Period" name="period" value={period} options={PERIODS as readonly (readonly [Period, string])[]} onChange={setPeriod} />
      <div class="row">
        <button type="button" class="button" onClick={() => void fetchIt("csv")}>
          <Icon name="download" /> CSV
        </button>
        <button type="button" class="button" onClick={() => void fetchIt("json")}>
          <Icon name="download" /> JSON
        </button>
      </div>
    </section>
  );
}
