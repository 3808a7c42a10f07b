// Small parts: headings, notes, times, copying, saving.

import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { serverNow, told } from "../api/client";
import { exact, instant, relative } from "../lib/format";
import { Icon, type IconName } from "./icons";
import { say } from "./toasts";

/** The present in whole seconds, for all relative times; it stands still while the page is hidden. */
export const present = signal(serverNow());
setInterval(() => {
  if (!document.hidden) present.value = serverNow();
}, 1000);

/** A page's heading with its actions. It takes the focus when the page is entered, so that screen readers say it. */
export function PageHead(props: { title: string; lead?: ComponentChildren; crumb?: ComponentChildren; beside?: ComponentChildren; children?: ComponentChildren }): JSX.Element {
  useEffect(() => {
    document.title = `${props.title} · Weir`;
  }, [props.title]);
  return (
    <div class="page-head">
      {props.crumb && <p class="crumb">{props.crumb}</p>}
      <h1 tabIndex={-1}>{props.title}</h1>
      {props.beside}
      {props.children && <div class="actions">{props.children}</div>}
      {props.lead && <p class="lead">{props.lead}</p>}
    </div>
  );
}

/** How long ago or ahead something is; exactly when, on hovering. */
export function Ago({ at, never = "never" }: { at: string | null | undefined; never?: string }): JSX.Element {
  const when = instant(at);
  if (when === null) return <span class="muted">{never}</span>;
  return (
    <time dateTime={new Date(when).toISOString()} title={exact(when)} class="nowrap">
      {relative(when, present.value)}
    </time>
  );
}

/** A time in full. */
export function At({ at }: { at: string | null | undefined }): JSX.Element {
  const when = instant(at);
  if (when === null) return <span class="muted">–</span>;
  return (
    <time dateTime={new Date(when).toISOString()} title={relative(when, present.value)} class="nowrap">
      {exact(when)}
    </time>
  );
}

type Tone = "plain" | "ok" | "warn" | "bad";
const NOTE_ICONS: Record<Tone, IconName> = { plain: "info", ok: "check", warn: "warning", bad: "warning" };

/** A remark in a box. */
export function Note({ tone = "plain", icon, children, live = false }: { tone?: Tone; icon?: IconName; children: ComponentChildren; live?: boolean }): JSX.Element {
  return (
    <div class={`note ${tone}`} {...(live ? { role: tone === "bad" ? "alert" : "status" } : {})}>
      <Icon name={icon ?? NOTE_ICONS[tone]} />
      <div>{children}</div>
    </div>
  );
}

/** What went wrong with loading, and a way to try again. */
export function Failure({ error, again }: { error: unknown; again?: () => void }): JSX.Element {
  return (
    <Note tone="bad" live>
      <p>{told(error)}</p>
      {again && (
        <button type="button" class="button small" onClick={again}>
          Try again
        </button>
      )}
    </Note>
  );
}

/** Shown while something loads; only after a moment, since most loads are faster than a flash. */
export function Loading({ what = "Loading…" }: { what?: string }): JSX.Element | null {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 250);
    return () => clearTimeout(timer);
  }, []);
  return late ? (
    <p class="loading" role="status">
      {what}
    </p>
  ) : null;
}

const COPIED_MS = 2000;

/** Copies a text, and says so. */
export function Copy({ text, label, small = true, word }: { text: string; label: string; small?: boolean; word?: string }): JSX.Element {
  // A dialog keeps messages beneath it from being heard: the button itself says it too.
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      say(`${label} copied`);
    } catch {
      say("The browser did not allow copying; select the text instead.");
    }
  };
  return (
    <button type="button" class={`button ${word ? "" : "icon ghost"} ${small ? "small" : ""}`} onClick={copy} {...(word ? {} : { "aria-label": `Copy ${label.toLowerCase()}`, title: `Copy ${label.toLowerCase()}` })}>
      <Icon name={copied ? "check" : "copy"} />
      {word && (copied ? "Copied" : word)}
    </button>
  );
}

/** Saves a text or a blob as a file. */
export function save(name: string, content: Blob | string, type = "text/plain"): void {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A few choices of which one holds. */
export function Segments<T extends string>(props: { label: string; value: T; options: readonly (readonly [T, string])[]; onChange: (value: T) => void }): JSX.Element {
  return (
    <div class="segments" role="group" aria-label={props.label}>
      {props.options.map(([value, word]) => (
        <button key={value} type="button" aria-pressed={value === props.value} onClick={() => props.onChange(value)}>
          {word}
        </button>
      ))}
    </div>
  );
}

/** A table that scrolls sideways by itself where it does not fit; by keyboard too. */
export function Scroller({ label, children }: { label: string; children: ComponentChildren }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [wide, setWide] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setWide(element.scrollWidth > element.clientWidth + 1));
    watch.observe(element);
    if (element.firstElementChild) watch.observe(element.firstElementChild);
    return () => watch.disconnect();
  }, []);
  return (
    <div class="scroller" ref={box} {...(wide ? { tabIndex: 0, role: "group", "aria-label": label } : {})}>
      {children}
    </div>
  );
}
