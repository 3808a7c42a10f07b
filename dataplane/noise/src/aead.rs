//! ChaCha20Poly1305 and XChaCha20Poly1305 as the handshake uses them: short
//! texts, each under a key of its own.

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Tag, XChaCha20Poly1305};

/// Bytes of the authentication tag behind a ciphertext.
pub(crate) const TAG_LEN: usize = 16;

/// The ciphertext's tag is wrong.
#[derive(Debug)]
pub(crate) struct Forged;

/// AEAD(key, 0, text, aad): encrypts the leading bytes of `buffer` in place
/// and writes the tag into its last 16.
pub(crate) fn seal(key: &[u8; 32], aad: &[u8], buffer: &mut [u8]) {
    let (text, tag) = split(buffer);
    let sealed = ChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&[0; 12].into(), aad, text.into())
        .expect("handshake texts are far below the cipher's limit");
    tag.copy_from_slice(&sealed);
}

/// Opens what [`seal`] made; on success the leading bytes hold the text.
pub(crate) fn open(key: &[u8; 32], aad: &[u8], buffer: &mut [u8]) -> Result<(), Forged> {
    let (text, tag) = split(buffer);
    let tag = Tag::try_from(&*tag).map_err(|_| Forged)?;
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(&[0; 12].into(), aad, text.into(), &tag)
        .map_err(|_| Forged)
}

/// XAEAD(key, nonce, text, aad), laid out as in [`seal`].
pub(crate) fn xseal(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], buffer: &mut [u8]) {
    let (text, tag) = split(buffer);
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(nonce.into(), aad, text.into())
        .expect("a cookie is far below the cipher's limit");
    tag.copy_from_slice(&sealed);
}

/// Opens what [`xseal`] made; on success the leading bytes hold the text.
pub(crate) fn xopen(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], buffer: &mut [u8]) -> Result<(), Forged> {
    let (text, tag) = split(buffer);
    let tag = Tag::try_from(&*tag).map_err(|_| Forged)?;
    XChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(nonce.into(), aad, text.into(), &tag)
        .map_err(|_| Forged)
}

fn split(buffer: &mut [u8]) -> (&mut [u8], &mut [u8]) {
    let text_len = buffer.len() - TAG_LEN;
    buffer.split_at_mut(text_len)
}
