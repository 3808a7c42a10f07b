// What a change would do, as the server computed it without doing it.

import type { JSX } from "preact";
import type { DiffEntry } from "../api/types";
import { count } from "../lib/format";
import { placeOf } from "../lib/names";

const MOST = 200;
const MARKS = { add: "+", remove: "−", replace: "~" } as const;
const WORDS = { add: "Added", remove: "Removed", replace: "Changed" } as const;

/** A diff's entries, one line each; `names` are those of peers by their keys. */
export function Diff({ entries, names }: { entries: DiffEntry[]; names?: ReadonlyMap<string, string> }): JSX.Element {
  if (entries.length === 0) return <p class="muted">Nothing would change.</p>;
  return (
    <div class="stack tight">
      <ul class="diff" aria-label="What changes">
        {entries.slice(0, MOST).map((entry, place) => (
          <li key={place} class={entry.op}>
            <span aria-hidden="true">{MARKS[entry.op]}</span>
            <div>
              <span class="hidden-label">{WORDS[entry.op]}: </span>
              <span class="path" title={entry.path}>
                {placeOf(entry.path, names)}
              </span>{" "}
              {entry.op !== "add" && entry.before !== undefined && <del>{shown(entry.before)}</del>}
              {entry.op === "replace" && " → "}
              {entry.op !== "remove" && entry.after !== undefined && <ins>{shown(entry.after)}</ins>}
            </div>
          </li>
        ))}
      </ul>
      {entries.length > MOST && <p class="muted">and {count(entries.length - MOST)} more.</p>}
    </div>
  );
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}
