// A long list behind cursors: pages are fetched in their order, the ones in view are read again by the cursor that
// began them. Pure: what is fetched is decided here, by whom is not.

/** One page as it was read. */
export interface LoadedPage<T> {
  items: T[];
}

/** A list of which a beginning is known. */
export interface Paged<T> {
  pages: LoadedPage<T>[];
  /** The cursors that begin each known page and the next one; the first is null. */
  cursors: (string | null)[];
  /** Items on all pages. */
  total: number;
  /** Whether the last page is known. */
  complete: boolean;
}

export const EMPTY: Paged<never> = { pages: [], cursors: [null], total: 0, complete: false };

/** The list with its next page. */
export function extended<T>(list: Paged<T>, items: T[], next: string | null, total: number): Paged<T> {
  return { pages: [...list.pages, { items }], cursors: [...list.cursors, next], total, complete: next === null };
}

/** The list with a page read again. If it ends elsewhere now, the pages behind it are forgotten. */
export function refreshed<T>(list: Paged<T>, page: number, items: T[], next: string | null, total: number): Paged<T> {
  if (!list.pages[page]) return list;
  const moved = list.cursors[page + 1] !== next;
  const pages = list.pages.slice(0, moved ? page + 1 : undefined);
  pages[page] = { items };
  const cursors = list.cursors.slice(0, moved ? page + 1 : undefined);
  cursors[page + 1] = next;
  return { pages, cursors, total, complete: next === null || (!moved && list.complete) };
}

/** Items known so far, in order. */
export function known<T>(list: Paged<T>): T[] {
  return list.pages.flatMap((page) => page.items);
}

/** Which pages hold the items from `first` to before `end`. */
export function pagesIn<T>(list: Paged<T>, first: number, end: number): number[] {
  const found: number[] = [];
  let at = 0;
  list.pages.forEach((page, number) => {
    if (at < end && at + page.items.length > first) found.push(number);
    at += page.items.length;
  });
  return found;
}

/** The rows to draw of a list that is scrolled: those in view and some around them. */
export function windowed(scrolled: number, height: number, row: number, count: number, around = 8): { first: number; end: number } {
  const first = Math.max(0, Math.floor(scrolled / row) - around);
  const end = Math.min(count, Math.ceil((scrolled + height) / row) + around);
  return { first: Math.min(first, end), end };
}
