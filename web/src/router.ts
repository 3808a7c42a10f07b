// Where the page is, kept in the address's fragment: every view has an address that survives a reload, and the server
// needs to know none of them. `#/peers/KEY?range=24h` becomes { path: ["peers", "KEY"], query }.

import { signal } from "@preact/signals";

/** A place in the page. */
export interface Route {
  /** The segments, decoded. */
  path: string[];
  query: URLSearchParams;
}

/** Reads a fragment. */
export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#\/?/, "");
  const mark = text.indexOf("?");
  const path = mark < 0 ? text : text.slice(0, mark);
  return {
    path: path.split("/").filter(Boolean).map(decoded),
    query: new URLSearchParams(mark < 0 ? "" : text.slice(mark + 1)),
  };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The fragment of a place. Parameters that are empty are left out. */
export function href(path: string[], query: Record<string, string | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) search.set(name, value);
  const tail = search.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${tail ? `?${tail}` : ""}`;
}

/** Where the page is now. */
export const route = signal<Route>(parseRoute(typeof location === "undefined" ? "" : location.hash));

/** Goes to a place; `replace` leaves no entry behind in the history. */
export function go(to: string, replace = false): void {
  if (replace) {
    history.replaceState(null, "", to);
    route.value = parseRoute(to);
  } else {
    location.hash = to;
  }
}

/** Follows the address bar. */
export function followAddress(): void {
  addEventListener("hashchange", () => {
    route.value = parseRoute(location.hash);
  });
}
