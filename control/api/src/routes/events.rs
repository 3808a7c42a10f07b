//! Events, as they happen.

use crate::api::Api;
use crate::auth::{Authenticated, may_stay};
use crate::events::{Listener, Next, Numbered, Resumed};
use crate::http::{Failure, Query};
use crate::limits::HEARTBEAT;
use crate::types::{Event, Key, LostEvents, PeerTick, Scope};
use axum::extract::State;
use axum::response::sse::{Event as Line, Sse};
use core::convert::Infallible;
use core::time::Duration;
use futures_util::Stream;
use http::HeaderMap;
use serde::Deserialize;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use utoipa::IntoParams;

/// To what a caller listens.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Adds `peer` with this peer's counters every second.
    #[param(required = false, value_type = Key)]
    peer: Option<Key>,
}

/// Events as they happen: `status` every second, `peer_state`, `refused`, `change`, `alert`, `denied`. `lost` says that
/// some were missed, so that what is shown is to be read again. `Last-Event-ID` resumes where a stream ended.
#[utoipa::path(
    get, path = "/v1/events", tag = "status",
    params(EventsQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen")),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 429, body = crate::types::Problem, content_type = "application/problem+json", description = "Too many listen")
    )
)]
pub(super) async fn listen(
    State(api): State<Arc<Api>>,
    known: Authenticated,
    headers: HeaderMap,
    Query(query): Query<EventsQuery>,
) -> Result<Sse<impl Stream<Item = Result<Line, Infallible>>>, Failure> {
    if query.peer.is_some() && !known.caller.may(Scope::PeersRead) {
        return Err(Failure::missing_scope(Scope::PeersRead));
    }
    if let Some(key) = query.peer {
        api.backend.peer_live(key).await?;
    }
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let joined = api.backend.events().listen(last);
    let (listener, resumed) = joined.ok_or_else(|| Failure::too_many("too many listen to events", 10))?;
    let stream = Listening::new(api, known, listener, resumed, query.peer);
    Ok(Sse::new(futures_util::stream::unfold(
        stream,
        |mut listening| async move {
            let line = listening.next().await?;
            Some((Ok(line), listening))
        },
    )))
}

/// One who listens.
struct Listening {
    api: Arc<Api>,
    known: Authenticated,
    listener: Listener,
    waiting: VecDeque<Numbered>,
    peer: Option<Key>,
    heartbeat: Interval,
    second: Interval,
    last: bool,
}

enum Happened {
    Told(Next),
    Heartbeat,
    Second(Key),
}

impl Listening {
    fn new(
        api: Arc<Api>,
        known: Authenticated,
        listener: Listener,
        resumed: Resumed,
        peer: Option<Key>,
    ) -> Self {
        let waiting = match resumed {
            Resumed::Missed(events) => events.into(),
            Resumed::Lost(kept) => core::iter::once(lost(None)).chain(kept).collect(),
        };
        let (heartbeat, second) = (every(HEARTBEAT), every(Duration::from_secs(1)));
        Self {
            api,
            known,
            listener,
            waiting,
            peer,
            heartbeat,
            second,
            last: false,
        }
    }

    /// The next line; `None` ends the stream.
    async fn next(&mut self) -> Option<Line> {
        if self.last {
            return None;
        }
        if let Some(event) = self.waiting.pop_front() {
            return Some(self.line(&event));
        }
        loop {
            let happened = tokio::select! {
                told = self.listener.next() => Happened::Told(told),
                _ = self.heartbeat.tick() => Happened::Heartbeat,
                _ = self.second.tick(), if self.peer.is_some() => match self.peer {
                    Some(key) => Happened::Second(key),
                    None => continue,
                },
            };
            match happened {
                Happened::Told(Next::Event(event)) => return Some(self.line(&event)),
                // It comes back with the id of the last event it saw, and is told what it missed.
                Happened::Told(Next::TooSlow(count)) => {
                    self.last = true;
                    return Some(self.line(&lost(Some(count))));
                }
                Happened::Told(Next::Closed) => return None,
                Happened::Heartbeat => {
                    if !may_stay(&self.api, &self.known, Scope::EventsRead).await {
                        return None;
                    }
                    return Some(Line::default().comment("alive"));
                }
                Happened::Second(key) => {
                    if let Some(line) = self.tick(key).await {
                        return Some(line);
                    }
                }
            }
        }
    }

    /// The peer's counters; nothing while it is gone.
    async fn tick(&self, public_key: Key) -> Option<Line> {
        let live = self.api.backend.peer_live(public_key).await.ok()?;
        let unix_s = u64::try_from((self.api.clock)().as_second()).unwrap_or(0);
        let event = Event::Peer(PeerTick {
            unix_s,
            public_key,
            live,
        });
        Some(self.line(&Numbered {
            number: None,
            event: Arc::new(event),
        }))
    }

    fn line(&self, event: &Numbered) -> Line {
        let data = serde_json::to_string(&*event.event).expect("an event is text and numbers");
        let line = Line::default().event(event.event.name()).data(data);
        match event.number {
            Some(number) => line.id(self.api.backend.events().id(number)),
            None => line,
        }
    }
}

fn lost(count: Option<u64>) -> Numbered {
    Numbered {
        number: None,
        event: Arc::new(Event::Lost(LostEvents { count })),
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
