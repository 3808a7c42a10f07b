// Light or dark: the system's wish unless one was chosen here.

import { computed, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const KEY = "weir.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(dark.matches);
dark.addEventListener("change", () => {
  systemDark.value = dark.matches;
});

/** What was chosen. */
export const theme = signal<Theme>(stored());

/** What is in force. */
export const shade = computed(() => (theme.value === "system" ? (systemDark.value ? "dark" : "light") : theme.value));

function stored(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    return "system";
  }
}

/** Chooses, and remembers it on this machine. */
export function choose(next: Theme): void {
  theme.value = next;
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // It then holds until the page is closed.
  }
}
