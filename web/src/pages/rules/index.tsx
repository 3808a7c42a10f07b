// Access rules: what peers may open through the gateway. The first that matches decides. They are edited as a whole,
// compared with what is in force, and applied with a way back.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, Problem, read } from "../../api/client";
import type { Peer, Rule } from "../../api/types";
import { count, plural } from "../../lib/format";
import { keyToPath, shortKey } from "../../lib/keys";
import { called } from "../../lib/names";
import { moved, namedPeers, sameRules, toInput, traffic, type DraftRule } from "../../lib/rules";
import { changes } from "../../state/gateway";
import { may } from "../../state/session";
import { Icon } from "../../ui/icons";
import { useLoad } from "../../ui/load";
import { Failure, Loading, Note, PageHead } from "../../ui/parts";
import { ApplyRules } from "./apply";
import { RuleDialog } from "./rule";

let nextId = 1;
const drafted = (rules: Rule[]): DraftRule[] => rules.filter((rule) => rule.owner === "control").map((rule) => ({ id: nextId++, rule: toInput(rule) }));

/** The page. */
export function Rules(): JSX.Element {
  const loaded = useLoad("rules", (signal) => read<{ items: Rule[] }>("/rules", { signal }));
  const [draft, setDraft] = useState<{ of: Rule[]; etag: string | null; rules: DraftRule[] } | null>(null);
  const items = loaded.data?.data.items;
  const touched = draft !== null && !sameRules(draft.rules.map((entry) => entry.rule), draft.of.filter((rule) => rule.owner === "control").map(toInput));
  // What is in force is taken over unless something was edited here; then it stays until it is applied or dropped.
  useEffect(() => {
    if (items && !touched) setDraft({ of: items, etag: loaded.data?.etag ?? null, rules: drafted(items) });
  }, [items]);
  useEffect(() => {
    if (changes.value.turn > 0 && changes.value.last?.rules) loaded.reload();
  }, [changes.value.turn]);
  const names = useNames(draft ? [...draft.of, ...draft.rules.map((entry) => entry.rule)] : []);

  return (
    <>
      <PageHead title="Access rules" lead="What peers may open through this gateway. Rules are judged from the top, and the first that matches decides. What none matches passes." />
      {loaded.error !== null && <Failure error={loaded.error} again={loaded.reload} />}
      {!draft && loaded.error === null && <Loading />}
      {draft && (
        <Editor
          draft={draft}
          names={names}
          touched={touched}
          stale={touched && loaded.data !== null && loaded.data.etag !== draft.etag}
          onChange={(rules) => setDraft({ ...draft, rules })}
          onDrop={() => setDraft({ of: items ?? draft.of, etag: loaded.data?.etag ?? draft.etag, rules: drafted(items ?? draft.of) })}
          onRebase={() => setDraft({ ...draft, of: items ?? draft.of, etag: loaded.data?.etag ?? draft.etag })}
          onApplied={(next, etag) => {
            loaded.set({ data: { items: next }, etag, change: null });
            setDraft({ of: next, etag, rules: drafted(next) });
          }}
        />
      )}
    </>
  );
}

interface EditorProps {
  draft: { of: Rule[]; etag: string | null; rules: DraftRule[] };
  names: Map<string, string>;
  touched: boolean;
  stale: boolean;
  onChange: (rules: DraftRule[]) => void;
  onDrop: () => void;
  onRebase: () => void;
  onApplied: (rules: Rule[], etag: string | null) => void;
}

function Editor(props: EditorProps): JSX.Element {
  const { draft, names, touched } = props;
  const [editing, setEditing] = useState<DraftRule | null>(null);
  const [applying, setApplying] = useState(false);
  const writable = may("rules:write");
  const fromFile = draft.of.filter((rule) => rule.owner === "file");
  const own = draft.of.filter((rule) => rule.owner === "control");
  const move = (place: number, by: number) => {
    const id = draft.rules[place]?.id;
    props.onChange(moved(draft.rules, place, by));
    requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-move="${id} ${by}"]`)?.focus());
  };
  return (
    <>
      {fromFile.length > 0 && (
        <section class="card flush" aria-labelledby="file-h">
          <div class="head">
            <h2 id="file-h">From weir.toml</h2>
            <span class="aside small muted">judged first, read-only here</span>
          </div>
          <ol class="rules">
            {fromFile.map((rule, place) => (
              <li key={place}>
                <span class="rule-lock" title="Declared in weir.toml">
                  <Icon name="lock" />
                </span>
                <RuleWords rule={rule} names={names} packets={rule.packets} />
              </li>
            ))}
          </ol>
        </section>
      )}
      <section class="card flush" aria-labelledby="own-h">
        <div class="head">
          <h2 id="own-h">Declared here</h2>
          <span class="aside small muted">{plural(draft.rules.length, "rule")}</span>
        </div>
        {draft.rules.length === 0 && <p class="empty">No rules. Every peer may open everything that the gateway reaches.</p>}
        <ol class="rules" start={fromFile.length + 1}>
          {draft.rules.map((entry, place) => (
            <li key={entry.id}>
              {writable && (
                <span class="rule-move">
                  <button type="button" class="button icon small ghost" data-move={`${entry.id} -1`} aria-label={`Move rule ${place + 1} up`} aria-disabled={place === 0} onClick={() => move(place, -1)}>
                    <Icon name="up" />
                  </button>
                  <button type="button" class="button icon small ghost" data-move={`${entry.id} 1`} aria-label={`Move rule ${place + 1} down`} aria-disabled={place === draft.rules.length - 1} onClick={() => move(place, 1)}>
                    <Icon name="down" />
                  </button>
                </span>
              )}
              <RuleWords rule={entry.rule} names={names} packets={touched ? null : (own[place]?.packets ?? null)} />
              {writable && (
                <span class="rule-tools">
                  <button type="button" class="button icon small ghost" aria-label={`Edit rule ${place + 1}`} title="Edit" onClick={() => setEditing(entry)}>
                    <Icon name="edit" />
                  </button>
                  <button type="button" class="button icon small ghost" aria-label={`Delete rule ${place + 1}`} title="Delete" onClick={() => props.onChange(draft.rules.filter((other) => other.id !== entry.id))}>
                    <Icon name="trash" />
                  </button>
                </span>
              )}
            </li>
          ))}
        </ol>
        {writable && (
          <div class="rules-foot">
            <button type="button" class="button" onClick={() => setEditing({ id: nextId++, rule: { name: null, action: "deny", from: [], to: [], protocol: null, ports: [], log: false } })}>
              <Icon name="plus" /> Add a rule
            </button>
            {touched && (
              <span class="row push">
                <span class="muted">Not applied yet.</span>
                <button type="button" class="button" onClick={props.onDrop}>
                  Drop my edits
                </button>
                <button type="button" class="button primary" onClick={() => setApplying(true)}>
                  Review and apply
                </button>
              </span>
            )}
          </div>
        )}
      </section>
      {props.stale && (
        <Note tone="warn" live>
          <p>The rules in force changed while you edited.</p>
          <button type="button" class="button small" onClick={props.onRebase}>
            Compare my edits with the new ones
          </button>
        </Note>
      )}
      {editing && (
        <RuleDialog
          rule={editing.rule}
          names={names}
          onClose={() => setEditing(null)}
          onDone={(rule) => {
            const known = draft.rules.some((entry) => entry.id === editing.id);
            const next = { id: editing.id, rule };
            props.onChange(known ? draft.rules.map((entry) => (entry.id === editing.id ? next : entry)) : [...draft.rules, next]);
            setEditing(null);
          }}
        />
      )}
      {applying && <ApplyRules rules={draft.rules.map((entry) => entry.rule)} etag={draft.etag} onClose={() => setApplying(false)} onApplied={props.onApplied} />}
    </>
  );
}

function RuleWords({ rule, names, packets }: { rule: Pick<Rule, "name" | "action" | "from" | "to" | "protocol" | "ports" | "log"> | DraftRule["rule"]; names: Map<string, string>; packets: number | null }): JSX.Element {
  return (
    <div class="rule-words">
      <p>
        <span class={`tag ${rule.action === "accept" ? "ok" : "bad"}`}>{rule.action === "accept" ? "✓ accept" : "✕ deny"}</span> <span class="strong">{traffic(rule)}</span> from <Ends ends={rule.from} names={names} all="everybody" /> to{" "}
        <Ends ends={rule.to} names={names} all="anywhere" />
      </p>
      <p class="small muted">
        {[rule.name, rule.log ? "logged" : "", packets === null ? "" : `${count(packets)} packets decided`].filter(Boolean).join(" · ")}
      </p>
    </div>
  );
}

function Ends({ ends, names, all }: { ends: string[]; names: Map<string, string>; all: string }): JSX.Element {
  if (ends.length === 0) return <>{all}</>;
  return (
    <>
      {ends.map((end, place) => (
        <span key={end}>
          {place > 0 && ", "}
          {end.startsWith("peer:") ? <a href={`#/peers/${keyToPath(end.slice(5))}`}>{names.get(end.slice(5)) ?? shortKey(end.slice(5))}</a> : end.startsWith("group:") ? <a href={`#/peers?group=${encodeURIComponent(end.slice(6))}`}>group {end.slice(6)}</a> : <code>{end}</code>}
        </span>
      ))}
    </>
  );
}

/** The names of the peers that rules name by their keys. */
function useNames(rules: Pick<Rule, "from" | "to">[]): Map<string, string> {
  const [names, setNames] = useState<Map<string, string>>(new Map());
  const missing = namedPeers(rules).filter((key) => !names.has(key));
  useEffect(() => {
    if (missing.length === 0) return;
    void Promise.all(
      missing.map((key) =>
        get<Peer>(`/peers/${keyToPath(key)}`).then(
          (peer) => [key, called(peer)] as const,
          (error: unknown) => [key, error instanceof Problem && error.status === 404 ? `${shortKey(key)} (no such peer)` : shortKey(key)] as const,
        ),
      ),
    ).then((found) => setNames((known) => new Map([...known, ...found])));
  }, [missing.join()]);
  return names;
}
