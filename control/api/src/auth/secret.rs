//! Tokens, session secrets and CSRF tokens: 256 random bits in base64url. Only their hashes are kept; as the secrets
//! are random, a plain hash gives nothing away.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// What every token begins with, so that people and scanners of secrets know one when they see it.
pub const TOKEN_PREFIX: &str = "weir_";

/// Characters of 256 bits in base64url.
const ENCODED_LEN: usize = 43;

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// A new secret: 43 characters of base64url.
pub fn random() -> Result<Zeroizing<String>, NoRandomness> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    getrandom::fill(&mut *bytes).map_err(|_| NoRandomness)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

/// A new token.
pub fn new_token() -> Result<Zeroizing<String>, NoRandomness> {
    Ok(Zeroizing::new(format!("{TOKEN_PREFIX}{}", *random()?)))
}

/// What a token is revoked by: 32 random hexadecimal digits, as the store names tokens.
pub fn new_id() -> Result<String, NoRandomness> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// The hash by which a token or a session is kept.
pub fn hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// Whether a text has the form of a token.
pub fn is_token(text: &str) -> bool {
    text.strip_prefix(TOKEN_PREFIX).is_some_and(is_random)
}

/// Whether a text has the form of a session's secret.
pub fn is_random(text: &str) -> bool {
    text.len() == ENCODED_LEN
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The CSRF token of a session: who knows the session's secret can derive it, who knows it learns nothing of the
/// secret.
pub fn csrf_token(session: &str) -> String {
    URL_SAFE_NO_PAD.encode(blake3::derive_key(
        "weir-api 2026-11 CSRF token of a session",
        session.as_bytes(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches secrets that repeat, and a form that its own check refuses.
    #[test]
    fn secrets_differ_and_have_their_form() {
        let (one, two) = (new_token().unwrap(), new_token().unwrap());
        assert!(*one != *two && is_token(&one) && is_token(&two));
        let session = random().unwrap();
        assert!(is_random(&session) && !is_token(&session));
        let csrf = csrf_token(&session);
        assert!(csrf != *session && csrf == csrf_token(&session) && csrf != csrf_token(&one));
        for bad in [
            "",
            "weir_",
            "weir_short",
            &format!("{}=", *one),
            &format!("WEIR_{}", *session),
        ] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
