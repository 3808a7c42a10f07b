// Loading something of the API for a page, and loading it again.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export interface Loaded<T> {
  data: T | null;
  error: unknown;
  loading: boolean;
  reload: () => void;
  /** Replaces what is shown, after a change whose answer has it. */
  set: (data: T) => void;
}

/** Loads when the page appears and whenever `key` changes. What was shown stays while the next is under way. */
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string; data: T | null; error: unknown; loading: boolean }>({ key, data: null, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const abort = new AbortController();
    setState((now) => ({ key, data: now.key === key ? now.data : null, error: null, loading: true }));
    latest.current(abort.signal).then(
      (data) => !abort.signal.aborted && setState({ key, data, error: null, loading: false }),
      (error: unknown) => !abort.signal.aborted && setState((now) => ({ ...now, error, loading: false })),
    );
    return () => abort.abort();
  }, [key, turn]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const set = useCallback((data: T) => setState({ key, data, error: null, loading: false }), [key]);
  return { data: state.key === key ? state.data : null, error: state.error, loading: state.loading, reload, set };
}

/** Calls `work` every `everyMs` while the page is looked at. */
export function useEvery(everyMs: number, work: () => void): void {
  const latest = useRef(work);
  latest.current = work;
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && latest.current(), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
}
