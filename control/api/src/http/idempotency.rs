//! Repetitions of a POST with the same Idempotency-Key get the answer of the first, for ten minutes. Only answers of
//! success are kept, in bounded memory; what they carry is shown again to the same caller only.

use super::body;
use super::change::idempotency_key;
use super::failure::Failure;
use super::problems;
use crate::api::Api;
use crate::auth::Authenticated;
use crate::limits::{IDEMPOTENT_BYTES_MAX, IDEMPOTENT_FOR, IDEMPOTENT_MAX};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::time::Instant;
use zeroize::Zeroize;

/// The answers that are kept.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_key: HashMap<Key, Entry>,
    /// In the order of their beginning.
    order: VecDeque<(Key, Instant)>,
    bytes: usize,
}

/// Who asked, for what, and what the caller calls it, hashed together.
type Key = [u8; 32];

struct Entry {
    /// Of the request's body.
    body: [u8; 32],
    begun: Instant,
    /// `None` while the first request is being answered.
    answer: Option<Answer>,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        // It may hold a private key.
        self.body.zeroize();
    }
}

enum Begun {
    First,
    Again(Answer),
}

/// Answers a repetition from memory, and keeps the answer to what may be repeated.
pub(crate) async fn idempotent(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let Some(known) = request.extensions().get::<Authenticated>().cloned() else {
        return Ok(next.run(request).await);
    };
    // What is kept may hold a private key: it goes in time, also where nobody asks for it again.
    api.answers.lock().expire(Instant::now());
    let Some(name) = idempotency_key(request.headers())?.filter(|_| request.method() == Method::POST) else {
        return Ok(next.run(request).await);
    };
    let actor = known.caller.actor.to_string();
    let key = key(&actor, &request.uri().to_string(), name);
    let limit = body::body_max(&request);
    let (parts, content) = request.into_parts();
    let content = body::read(content, limit).await?;
    let guard = match api
        .answers
        .begin(key, *blake3::hash(&content).as_bytes(), Instant::now())?
    {
        Begun::Again(answer) => return Ok(answer.into_response()),
        Begun::First => Forget {
            answers: &api.answers,
            key: Some(key),
        },
    };
    let response = next.run(Request::from_parts(parts, Body::from(content))).await;
    keep(guard, response).await
}

/// Takes an unfinished entry away again, also where the request is given up.
struct Forget<'a> {
    answers: &'a Answers,
    key: Option<Key>,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.answers.lock().remove(&key);
        }
    }
}

async fn keep(mut guard: Forget<'_>, response: Response) -> Result<Response, Failure> {
    if !response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body: Bytes = to_bytes(body, IDEMPOTENT_BYTES_MAX)
        .await
        .map_err(|_| Failure::internal("an answer that is to be kept cannot be read"))?;
    let answer = Answer {
        status: parts.status,
        headers: parts.headers.clone(),
        body: body.to_vec(),
    };
    if let Some(key) = guard.key.take() {
        guard.answers.finish(key, answer);
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn key(actor: &str, uri: &str, name: &str) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in [actor, uri, name] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

impl Answers {
    fn begin(&self, key: Key, body: [u8; 32], now: Instant) -> Result<Begun, Failure> {
        let mut kept = self.lock();
        kept.expire(now);
        if let Some(entry) = kept.by_key.get(&key) {
            if entry.body != body {
                let detail =
                    "Idempotency-Key: another body was sent with it; use a new one for another request";
                return Err(Failure::new(problems::KEY_REUSED, detail));
            }
            let under_way = || {
                Failure::new(
                    problems::UNDER_WAY,
                    "the first request with this Idempotency-Key is not answered yet",
                )
            };
            return entry.answer.clone().map(Begun::Again).ok_or_else(under_way);
        }
        kept.order.push_back((key, now));
        kept.by_key.insert(
            key,
            Entry {
                body,
                begun: now,
                answer: None,
            },
        );
        Ok(Begun::First)
    }

    fn finish(&self, key: Key, answer: Answer) {
        let mut kept = self.lock();
        let size = answer.body.len();
        if let Some(entry) = kept.by_key.get_mut(&key) {
            entry.answer = Some(answer);
            kept.bytes += size;
        }
        kept.shrink();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("nothing that holds the answers panics")
    }
}

impl Kept {
    fn expire(&mut self, now: Instant) {
        while self
            .order
            .front()
            .is_some_and(|(_, begun)| now.duration_since(*begun) >= IDEMPOTENT_FOR)
        {
            self.pop();
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.order.len() > IDEMPOTENT_MAX || self.bytes > IDEMPOTENT_BYTES_MAX {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((key, begun)) = self.order.pop_front()
            && self.by_key.get(&key).is_some_and(|entry| entry.begun == begun)
        {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.by_key.remove(key) {
            self.bytes -= entry.answer.map_or(0, |answer| answer.body.len());
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body.clone()).into_response();
        *response.headers_mut() = self.headers.clone();
        let name = HeaderName::from_static("idempotent-replayed");
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static("true"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(size: usize) -> Answer {
        Answer {
            status: StatusCode::CREATED,
            headers: HeaderMap::new(),
            body: vec![0; size],
        }
    }

    // Catches memory that grows with every key, and bytes that are counted wrongly.
    #[test]
    fn what_is_kept_is_bounded() {
        let (answers, now) = (Answers::default(), Instant::now());
        for n in 0..IDEMPOTENT_MAX + 50 {
            let key = key("a", "/", &n.to_string());
            assert!(matches!(answers.begin(key, [0; 32], now), Ok(Begun::First)));
            answers.finish(key, answer(IDEMPOTENT_BYTES_MAX / 100));
        }
        let kept = answers.lock();
        assert!(kept.by_key.len() <= 100 && kept.bytes <= IDEMPOTENT_BYTES_MAX);
        let bytes: usize = kept
            .by_key
            .values()
            .filter_map(|e| e.answer.as_ref())
            .map(|a| a.body.len())
            .sum();
        assert_eq!(bytes, kept.bytes);
        assert_eq!(kept.by_key.len(), kept.order.len());
    }

    // Catches a second run of what is under way, and an answer kept for ever.
    #[test]
    fn a_repetition_waits_its_turn_and_its_time() {
        let (answers, now) = (Answers::default(), Instant::now());
        let key = key("a", "/", "k");
        assert!(matches!(answers.begin(key, [0; 32], now), Ok(Begun::First)));
        assert!(answers.begin(key, [0; 32], now).is_err());
        answers.finish(key, answer(1));
        assert!(matches!(answers.begin(key, [0; 32], now), Ok(Begun::Again(_))));
        assert!(answers.begin(key, [1; 32], now).is_err());
        assert!(matches!(
            answers.begin(key, [1; 32], now + IDEMPOTENT_FOR),
            Ok(Begun::First)
        ));
    }
}
