//! The session's cookie.

use http::HeaderMap;
use http::header::COOKIE;

const NAME: &str = "weir_session";

/// The session's secret, as the request's cookies carry it.
pub(super) fn session_secret(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == NAME).then_some(value))
}

/// The value of Set-Cookie that gives the secret to the browser.
pub(crate) fn session_cookie(secret: &str, hours: u16, tls: bool) -> String {
    let secure = if tls { "; Secure" } else { "" };
    let seconds = u32::from(hours) * 3600;
    format!("{NAME}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// The value of Set-Cookie that takes it away.
pub(crate) fn clear_cookie() -> String {
    format!("{NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    // Catches a cookie that is not found beside others, or one whose name only ends alike.
    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("xweir_session=no; a=b"));
        assert_eq!(session_secret(&headers), None);
        headers.append(COOKIE, HeaderValue::from_static("c; weir_session=yes ;d=e"));
        assert_eq!(session_secret(&headers), Some("yes"));
    }
}
