// What the list of peers is narrowed by.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Group } from "../../api/types";
import type { PeerQuery } from "../../state/peers";
import { Icon } from "../../ui/icons";

const STATES = [
  ["", "Any state"],
  ["connected", "Connected"],
  ["rekeying", "Rekeying"],
  ["handshaking", "Handshaking"],
  ["init", "Waiting"],
  ["disconnected", "Gone"],
  ["absent", "Disabled, expired or in conflict"],
] as const;

const TYPING_MS = 120;

/** Search, state, group, owner. */
export function Filters({ query, groups, onChange }: { query: PeerQuery; groups: Group[]; onChange: (next: Partial<PeerQuery>) => void }): JSX.Element {
  const [text, setText] = useState(query.q);
  const asked = useRef(query.q);
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => {
    if (text === asked.current) return;
    const timer = setTimeout(() => {
      asked.current = text;
      latest.current({ q: text });
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  // The address changed by itself, such as by the browser's way back.
  useEffect(() => {
    if (query.q === asked.current) return;
    asked.current = query.q;
    setText(query.q);
  }, [query.q]);

  return (
    <form class="row filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <div class="search">
        <Icon name="search" />
        <input type="search" name="q" aria-label="Search peers" placeholder="Name, address, key, group, note" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </div>
      <Choice label="State" value={query.state} options={STATES} onChange={(state) => onChange({ state })} />
      <Choice label="Group" value={query.group} options={[["", "Any group"], ...groups.map((group) => [group.name, `${group.name} (${group.peers})`] as const)]} onChange={(group) => onChange({ group })} />
      <Choice
        label="Declared in"
        value={query.owner}
        options={[
          ["", "Declared anywhere"],
          ["control", "Declared here"],
          ["file", "Declared in weir.toml"],
        ]}
        onChange={(owner) => onChange({ owner })}
      />
    </form>
  );
}

function Choice(props: { label: string; value: string; options: readonly (readonly [string, string])[]; onChange: (value: string) => void }): JSX.Element {
  return (
    <select class="filter" aria-label={props.label} value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
      {props.options.map(([value, word]) => (
        <option key={value} value={value}>
          {word}
        </option>
      ))}
    </select>
  );
}
