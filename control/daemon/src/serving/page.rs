//! The web page, embedded when this program is built.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use rust_embed::RustEmbed;

/// What `make build` made in `web/dist`.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Built;

/// The page where there is none.
const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Weir</title>\
    <h1>Weir</h1><p>This weir-control was built without the web page: <code>web/dist</code> was empty. \
    Build it with <code>make build</code>. The API is at <a href=\"/v1/docs\">/v1/docs</a>.</p></html>";

/// A file of the page; any other path is the page's own to read, so it gets its document.
pub async fn serve(uri: Uri) -> Response<Body> {
    let path = uri.path().trim_start_matches('/');
    match Built::get(path).filter(|_| !path.is_empty()) {
        Some(file) => {
            let kind = mime_guess::from_path(path).first_or_octet_stream();
            // Their names change with what is in them.
            let lasting = path.starts_with("assets/");
            let cache = if lasting {
                "public, max-age=31536000, immutable"
            } else {
                "no-cache"
            };
            answer(StatusCode::OK, kind.as_ref(), cache, file.data.into_owned())
        }
        None if path.starts_with("assets/") || path.starts_with("v1/") => answer(
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            "no-store",
            b"not found\n".to_vec(),
        ),
        None => {
            let document = Built::get("index.html").map(|file| file.data.into_owned());
            let document = document.unwrap_or_else(|| MISSING.as_bytes().to_vec());
            answer(StatusCode::OK, "text/html; charset=utf-8", "no-cache", document)
        }
    }
}

fn answer(status: StatusCode, kind: &str, cache: &'static str, body: Vec<u8>) -> Response<Body> {
    let kind = HeaderValue::from_str(kind).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    // The headers that keep it in bounds are the same for every answer, and the API's router sets them.
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    (status, headers, body).into_response()
}
