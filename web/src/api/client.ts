// Calls of the API under /v1. The session is a cookie that scripts cannot read; unsafe methods carry its CSRF token.
// Every failure is a Problem, an answer of the server, or Unreachable: the caller shows it and keeps what was typed.

import { signal } from "@preact/signals";
import type { DiffEntry, FieldProblem, Session } from "./types";

/** Who is signed in: undefined until the server was asked, null for nobody. */
export const session = signal<Session | null | undefined>(undefined);

/** The session ended while the page was in use: the page stays and asks to sign in again. */
export const sessionEnded = signal(false);

/** How far the server's clock is ahead of this one, milliseconds. */
let clockAhead = 0;

/** The server's present, milliseconds since 1970: relative times are then right on a machine with a wrong clock. */
export const serverNow = (): number => Date.now() + clockAhead;

/** The server refused, and said why (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly errors: FieldProblem[],
    readonly retryAfterS: number | null,
  ) {
    super(detail || title);
  }
}

/** No answer came. */
export class Unreachable extends Error {
  constructor() {
    super("The server did not answer. Nothing that you entered is lost; try again.");
  }
}

/** A change that is reverted unless it is confirmed. */
export interface AwaitedChange {
  id: string;
  reverts_at: string;
}

/** An answer with what its headers said. */
export interface Answer<T> {
  data: T;
  etag: string | null;
  change: AwaitedChange | null;
}

export interface Options {
  body?: unknown;
  ifMatch?: string | null;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  query?: Record<string, string | number | boolean | null | undefined>;
}

/** The address of a call. Parameters that are empty are left out. */
export function address(path: string, query: Options["query"] = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) search.set(name, String(value));
  }
  const tail = search.toString();
  return `/v1${path}${tail ? `?${tail}` : ""}`;
}

async function exchange(method: string, path: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] ??= "application/json";
  if (options.ifMatch) headers["If-Match"] = options.ifMatch;
  const token = session.peek()?.csrf_token;
  if (method !== "GET" && token) headers["X-CSRF-Token"] = token;
  const init: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" };
  if (options.body !== undefined) init.body = JSON.stringify(options.body);
  if (options.signal) init.signal = options.signal;
  let response: Response;
  try {
    response = await fetch(address(path, options.query), init);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Unreachable();
  }
  noteClock(response.headers.get("Date"));
  if (!response.ok) throw await problem(response, path);
  return response;
}

function noteClock(date: string | null): void {
  const at = date ? Date.parse(date) : Number.NaN;
  if (Number.isNaN(at)) return;
  // The header is whole seconds: a smaller difference says nothing.
  const ahead = at + 500 - Date.now();
  clockAhead = Math.abs(ahead) > 3000 ? ahead : 0;
}

async function problem(response: Response, path: string): Promise<Problem> {
  if (response.status === 401 && path !== "/session" && session.peek()) sessionEnded.value = true;
  const retry = Number(response.headers.get("Retry-After"));
  const body: unknown = await response.json().catch(() => null);
  const told = (typeof body === "object" && body !== null ? body : {}) as Partial<Problem>;
  return new Problem(
    response.status,
    told.title ?? `The server answered ${response.status}`,
    told.detail ?? "",
    Array.isArray(told.errors) ? told.errors : [],
    retry > 0 ? retry : null,
  );
}

async function answer<T>(response: Response): Promise<Answer<T>> {
  const type = response.headers.get("Content-Type") ?? "";
  const text = response.status === 204 ? "" : await response.text();
  const data = (type.includes("json") && text ? JSON.parse(text) : text) as T;
  const change = response.headers.get("Weir-Change");
  return { data, etag: response.headers.get("ETag"), change: change ? parsedChange(change) : null };
}

function parsedChange(header: string): AwaitedChange | null {
  try {
    const parsed = JSON.parse(header) as AwaitedChange & { change?: AwaitedChange };
    return parsed.change ?? parsed;
  } catch {
    return null;
  }
}

/** Reads. */
export async function get<T>(path: string, options: Options = {}): Promise<T> {
  return (await answer<T>(await exchange("GET", path, options))).data;
}

/** Reads with the headers. */
export async function read<T>(path: string, options: Options = {}): Promise<Answer<T>> {
  return answer<T>(await exchange("GET", path, options));
}

/** Changes something. */
export async function send<T>(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, options: Options = {}): Promise<Answer<T>> {
  return answer<T>(await exchange(method, path, options));
}

/** What a change would do, without doing it. */
export async function preview(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, options: Options = {}): Promise<DiffEntry[]> {
  const query = { ...options.query, dry_run: true };
  return (await send<{ diff: DiffEntry[] }>(method, path, { ...options, query })).data.diff;
}

/** Reads or makes something that is kept as a file. */
export async function download(method: "GET" | "POST", path: string, options: Options = {}): Promise<Blob> {
  return (await exchange(method, path, { ...options, headers: { Accept: "*/*", ...options.headers } })).blob();
}

/** The API's details begin like the middle of a sentence; alone they are one. */
function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/** What a failure says to people. */
export function told(error: unknown): string {
  if (error instanceof Problem) {
    if (error.status === 401 && sessionEnded.peek()) return "Your session had ended. Sign in, then try once more.";
    const wait = error.retryAfterS ? ` Try again in ${error.retryAfterS} s.` : "";
    return sentence(error.detail || error.title) + wait;
  }
  return error instanceof Error ? error.message : String(error);
}
