// The list of peers of the peers page: ten thousand of them, of which only what is looked at is fetched.

import { signal } from "@preact/signals";
import { get } from "../api/client";
import type { Peer, Peers } from "../api/types";
import { EMPTY, extended, known, pagesIn, refreshed, type Paged } from "../lib/pages";

/** What the list is asked for. */
export interface PeerQuery {
  q: string;
  group: string;
  state: string;
  owner: string;
  /** A column's name, with `-` before it for the greatest first. */
  sort: string;
}

const PAGE = 200;
const PAGE_MOST = 1000;

/** A list that follows one query. */
export class PeerList {
  readonly list = signal<Paged<Peer>>(EMPTY);
  readonly error = signal<unknown>(null);
  readonly loading = signal(true);
  private abort = new AbortController();
  private reach = 0;
  private busy = false;

  constructor(readonly query: PeerQuery) {
    void this.extend();
  }

  /** Ends what is under way; the list is of no more use. */
  close(): void {
    this.abort.abort();
  }

  /** Wants the items up to before `end` to be known. */
  want(end: number): void {
    this.reach = Math.max(this.reach, end);
    if (!this.busy) void this.extend();
  }

  /** Loads what is missing up to where it is wanted, and a page ahead. */
  private async extend(): Promise<void> {
    this.busy = true;
    this.loading.value = true;
    try {
      while (!this.list.peek().complete && (this.list.peek().pages.length === 0 || this.count() < this.reach)) {
        const list = this.list.peek();
        // Far ahead, few large pages are fetched rather than many small ones.
        const limit = this.reach - this.count() > 2 * PAGE ? PAGE_MOST : PAGE;
        const page = await this.fetch(list.cursors[list.pages.length] ?? null, limit);
        this.list.value = extended(this.list.peek(), page.items, page.next_cursor, page.total);
      }
      this.error.value = null;
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.error.value = error;
    } finally {
      this.busy = false;
      this.loading.value = false;
    }
  }

  /** Reads the pages that hold these items again. */
  async refresh(first: number, end: number): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      for (const number of pagesIn(this.list.peek(), first, end)) {
        const list = this.list.peek();
        const length = list.pages[number]?.items.length ?? 0;
        const page = await this.fetch(list.cursors[number] ?? null, Math.min(PAGE_MOST, Math.max(PAGE, length)));
        this.list.value = refreshed(this.list.peek(), number, page.items, page.next_cursor, page.total);
      }
      if (this.count() === 0) await this.reset();
      this.error.value = null;
    } catch (error) {
      if (!this.abort.signal.aborted) this.error.value = error;
    } finally {
      this.busy = false;
    }
    if (this.count() < this.reach && !this.list.peek().complete) void this.extend();
  }

  /** Every peer that the query matches, for bulk changes. */
  async all(): Promise<Peer[]> {
    this.want(this.list.peek().total);
    while (!this.list.peek().complete && this.error.peek() === null && !this.abort.signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (!this.busy) await this.extend();
    }
    if (this.error.peek() !== null) throw this.error.peek();
    return known(this.list.peek());
  }

  /** A peer as it is now, without asking the server. */
  amend(key: string, change: (peer: Peer) => Peer): void {
    const list = this.list.peek();
    const pages = list.pages.map((page) => (page.items.some((peer) => peer.public_key === key) ? { items: page.items.map((peer) => (peer.public_key === key ? change(peer) : peer)) } : page));
    this.list.value = { ...list, pages };
  }

  private async reset(): Promise<void> {
    const page = await this.fetch(null, PAGE);
    this.list.value = extended(EMPTY as Paged<Peer>, page.items, page.next_cursor, page.total);
  }

  private count(): number {
    return this.list.peek().pages.reduce((sum, page) => sum + page.items.length, 0);
  }

  private fetch(cursor: string | null, limit: number): Promise<Peers> {
    return get<Peers>("/peers", { query: { ...this.query, cursor, limit }, signal: this.abort.signal });
  }
}
