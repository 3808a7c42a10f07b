// What stands around every page: navigation, who is signed in, and what must not be overlooked.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { session, told } from "./api/client";
import { streamState } from "./api/live";
import { instant, countdown, plural } from "./lib/format";
import { route } from "./router";
import { alerts, keepChange, pending, present as dataPlaneThere, revertChange } from "./state/gateway";
import { may, signOut } from "./state/session";
import { choose, theme, type Theme } from "./state/theme";
import { Icon, Mark, type IconName } from "./ui/icons";
import { present } from "./ui/parts";
import { say } from "./ui/toasts";

const PAGES: { path: string; word: string; icon: IconName; allowed: () => boolean }[] = [
  { path: "", word: "Overview", icon: "overview", allowed: () => true },
  { path: "peers", word: "Peers", icon: "peers", allowed: () => may("peers:read") },
  { path: "topology", word: "Topology", icon: "topology", allowed: () => may("status:read") },
  { path: "rules", word: "Access rules", icon: "rules", allowed: () => may("rules:read") },
  { path: "alerts", word: "Alerts", icon: "alerts", allowed: () => may("status:read") },
  { path: "audit", word: "Audit log", icon: "audit", allowed: () => may("audit:read") },
  { path: "access", word: "Users and tokens", icon: "key", allowed: () => may("users:read") },
  { path: "settings", word: "Settings", icon: "settings", allowed: () => may("status:read") },
];

const THEMES: Record<Theme, { next: Theme; word: string; icon: IconName }> = {
  system: { next: "light", word: "Theme: system", icon: "screen" },
  light: { next: "dark", word: "Theme: light", icon: "sun" },
  dark: { next: "system", word: "Theme: dark", icon: "moon" },
};

/** The frame around a page. */
export function Frame({ children }: { children: ComponentChildren }): JSX.Element {
  const [open, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const place = route.value.path.join("/");
  const first = useRef(true);

  // A new page: its heading takes the focus, as after a load of a document. Not on the first, where the document did.
  useEffect(() => {
    setOpen(false);
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    (main.current?.querySelector<HTMLElement>("h1") ?? main.current)?.focus({ preventScroll: true });
  }, [place]);

  return (
    <div class="frame" onKeyDown={(event) => event.key === "Escape" && setOpen(false)}>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header class="topbar">
        <a class="brand" href="#/">
          <Mark /> Weir
        </a>
        <button type="button" class="button ghost" aria-expanded={open} aria-controls="side" onClick={() => setOpen(!open)}>
          <Icon name={open ? "cross" : "menu"} /> Menu
        </button>
      </header>
      <nav class={`side ${open ? "open" : ""}`} id="side" aria-label="Main">
        <div class="side-in">
          <Side />
        </div>
      </nav>
      <div class="content">
        <Banners />
        <main id="main" tabIndex={-1} ref={main}>
          {children}
        </main>
      </div>
    </div>
  );
}

function Side(): JSX.Element {
  const [here = ""] = route.value.path;
  const raised = alerts.value?.length ?? 0;
  const shade = THEMES[theme.value];
  return (
    <>
      <a class="brand" href="#/">
        <Mark /> Weir
      </a>
      <div class="nav">
        {PAGES.filter((page) => page.allowed()).map((page) => (
          <a key={page.path} href={`#/${page.path}`} {...(here === page.path ? { "aria-current": "page" as const } : {})}>
            <Icon name={page.icon} />
            {page.word}
            {page.path === "alerts" && raised > 0 && (
              <span class="tally">
                {raised}
                <span class="hidden-label"> raised</span>
              </span>
            )}
          </a>
        ))}
      </div>
      <div class="side-foot">
        <LinkState />
        <button type="button" class="plain" onClick={() => choose(shade.next)}>
          <Icon name={shade.icon} /> {shade.word}
        </button>
        <div class="who">
          <span class="strong break">{session.value?.name}</span>
          <span class="small muted">{session.value?.role}</span>
        </div>
        <a class="plain" href="#/password">
          <Icon name="lock" /> Change password
        </a>
        <button type="button" class="plain" onClick={() => void signOut().catch((error: unknown) => say(told(error)))}>
          <Icon name="out" /> Sign out
        </button>
      </div>
    </>
  );
}

function LinkState(): JSX.Element {
  const open = streamState.value === "open";
  const words = { open: "Live", connecting: "Connecting…", lost: "Reconnecting…", resting: "Paused" } as const;
  return (
    <p class="link-state" role="status">
      <svg viewBox="0 0 12 12" class={open ? "ok" : "warn"} aria-hidden="true">
        {open ? <circle cx="6" cy="6" r="4" fill="currentColor" /> : <circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="3 2" />}
      </svg>
      {words[streamState.value]}
    </p>
  );
}

function Banners(): JSX.Element {
  return (
    <div role="region" aria-label="Notices">
      {dataPlaneThere.value === false && (
        <div class="banner bad" role="alert">
          <Icon name="warning" />
          <span class="grow">The data plane is away. What you see is the stored configuration; live values are missing, and changes take effect when it is back.</span>
        </div>
      )}
      {streamState.value === "lost" && (
        <div class="banner warn" role="status">
          <Icon name="warning" />
          <span class="grow">The connection to weir-control is lost. Trying again; traffic is not affected.</span>
        </div>
      )}
      {pending.value.map((change) => (
        <Countdown key={change.id} id={change.id} by={change.made_by} revertsAt={change.reverts_at} entries={change.diff.length} />
      ))}
    </div>
  );
}

function Countdown(props: { id: string; by: string; revertsAt: string; entries: number }): JSX.Element {
  const left = ((instant(props.revertsAt) ?? 0) - present.value) / 1000;
  const run = (work: Promise<void>, done: string) => void work.then(() => say(done)).catch((error: unknown) => say(told(error)));
  return (
    <div class="banner warn" data-change={props.id}>
      <Icon name="warning" />
      <span class="grow" role="status">
        {plural(props.entries, "change")} by {props.by} will be taken back unless kept. <span class="hidden-label">Can you still reach this page? Then keep it.</span>
      </span>
      <span class="clock" role="timer" aria-label="Time left">
        {countdown(left)}
      </span>
      {may("peers:write") && (
        <>
          <button type="button" class="button small" onClick={() => run(keepChange(props.id), "Kept.")}>
            Keep
          </button>
          <button type="button" class="button small danger" onClick={() => run(revertChange(props.id), "Taken back.")}>
            Revert now
          </button>
        </>
      )}
    </div>
  );
}
