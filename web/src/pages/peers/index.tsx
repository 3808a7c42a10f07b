// All peers: searched, filtered, sorted, and changed together.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get } from "../../api/client";
import { listen } from "../../api/live";
import type { Group } from "../../api/types";
import { count, plural } from "../../lib/format";
import { known } from "../../lib/pages";
import { go, href, route } from "../../router";
import { changes } from "../../state/gateway";
import { PeerList, type PeerQuery } from "../../state/peers";
import { may } from "../../state/session";
import { Icon } from "../../ui/icons";
import { useEvery, useLoad } from "../../ui/load";
import { Failure, Loading, PageHead } from "../../ui/parts";
import { BulkBar } from "./bulk";
import { Filters } from "./filters";
import { PeerTable } from "./table";

const DEFAULT_SORT = "name";
const REFRESH_MS = 5000;

function queryOf(): PeerQuery {
  const { query } = route.value;
  const read = (name: string) => query.get(name) ?? "";
  return { q: read("q"), group: read("group"), state: read("state"), owner: read("owner"), sort: read("sort") || DEFAULT_SORT };
}

/** The peers page. Its query is in the address, so that a search can be kept and passed on. */
export function Peers(): JSX.Element {
  const query = queryOf();
  const key = JSON.stringify(query);
  const list = useMemo(() => new PeerList(query), [key]);
  useEffect(() => () => list.close(), [list]);
  const shown = useRef({ first: 0, end: 40 });
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const groups = useLoad("groups", (signal) => get<{ items: Group[] }>("/groups", { signal }));
  const [announced, setAnnounced] = useState("");

  const refresh = () => void list.refresh(shown.current.first, shown.current.end);
  useEvery(REFRESH_MS, refresh);
  useEffect(() => {
    if (changes.value.turn > 0) refresh();
  }, [changes.value.turn]);
  useEffect(
    () =>
      listen("peer_state", (event) =>
        list.amend(event.public_key, (peer) => ({ ...peer, live: { ...peer.live, state: event.state, state_reason: event.reason, state_since: event.at } })),
      ),
    [list],
  );

  const paged = list.list.value;
  const peers = known(paged);
  const loaded = paged.pages.length > 0;
  useEffect(() => {
    if (loaded) setAnnounced(`${plural(paged.total, "peer")} found`);
  }, [loaded, paged.total, key]);

  const change = (next: Partial<PeerQuery>) => {
    const merged = { ...query, ...next };
    go(href(["peers"], { ...merged, sort: merged.sort === DEFAULT_SORT ? undefined : merged.sort }), true);
  };
  const everything = !query.q && !query.group && !query.state && !query.owner;

  return (
    <>
      <PageHead title="Peers" beside={loaded && <span class="muted">{everything ? count(paged.total) : `${count(paged.total)} match`}</span>}>
        {may("peers:write") && (
          <a class="button primary" href="#/peers/new">
            <Icon name="plus" /> Add a peer
          </a>
        )}
      </PageHead>
      <Filters query={query} groups={groups.data?.items ?? []} onChange={change} />
      <p class="hidden-label" role="status">
        {announced}
      </p>
      {list.error.value !== null && <Failure error={list.error.value} again={refresh} />}
      <BulkBar chosen={chosen} list={list} groups={groups.data?.items ?? []} onDone={refresh} />
      {!loaded && list.loading.value && <Loading what="Loading the peers…" />}
      {loaded && paged.total === 0 && <NoPeers everything={everything} onClear={() => change({ q: "", group: "", state: "", owner: "" })} />}
      {loaded && paged.total > 0 && (
        <PeerTable
          peers={peers}
          total={paged.total}
          sort={query.sort}
          onSort={(sort) => change({ sort })}
          chosen={chosen}
          onShown={(first, end) => {
            shown.current = { first, end };
            list.want(end);
          }}
        />
      )}
    </>
  );
}

function NoPeers({ everything, onClear }: { everything: boolean; onClear: () => void }): JSX.Element {
  return (
    <div class="card empty">
      <Icon name="peers" />
      {everything ? (
        <>
          <p>No peers yet. Add one, and a phone can scan its configuration.</p>
          {may("peers:write") && (
            <a class="button primary" href="#/peers/new">
              <Icon name="plus" /> Add a peer
            </a>
          )}
        </>
      ) : (
        <>
          <p>No peer matches.</p>
          <button type="button" class="button" onClick={onClear}>
            Show all peers
          </button>
        </>
      )}
    </div>
  );
}
