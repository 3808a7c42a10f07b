//! The first run: a password that is told once, and access that root restores.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Control, exchange};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn start(folder: &Path, file: &Path) -> Control {
    let file = file.display().to_string();
    Control::start_with(
        folder,
        &["--first-password-file", &file, "--listen", "127.0.0.1:0"],
    )
}

/// What somebody on the network gets.
fn over_tcp(control: &Control, method: &str, path: &str, body: Option<&Value>) -> (u16, String, String) {
    let url = control.url();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    exchange(TcpStream::connect(address).unwrap(), method, path, &[], body)
}

// Catches a first password that others can read, that is made anew, that opens more than its own change, or that stays
// about when it is void; and an operator who cannot get in any more.
#[test]
fn the_first_password_is_told_once_and_must_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("first-password");
    let control = start(folder.path(), &file);
    let password = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(password.trim().len(), 20);
    assert_eq!(over_tcp(&control, "GET", "/livez", None).0, 200);
    assert_eq!(over_tcp(&control, "GET", "/v1/peers", None).0, 401);
    let login = |control: &Control, password: &str| {
        over_tcp(
            control,
            "POST",
            "/v1/session",
            Some(&json!({ "name": "admin", "password": password })),
        )
    };
    let (status, _, body) = login(&control, password.trim());
    assert_eq!(status, 200, "{body}");
    let session: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(session["must_change_password"], json!(true));
    assert_eq!(login(&control, "something else").0, 401);
    control.end();

    // Another start makes no other one.
    let control = start(folder.path(), &file);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), password);
    let change = json!({ "new": "a password of root's choice" });
    let (status, answer) = control.ask("PUT", "/v1/users/admin/password", Some(&change));
    assert!(matches!(status, 200 | 204), "{status} {answer}");
    assert!(!file.exists());
    assert_eq!(login(&control, password.trim()).0, 401);
    assert_eq!(login(&control, "a password of root's choice").0, 200);
    let log = control.get("/v1/audit?limit=1000").to_string();
    assert!(
        log.contains("login.refused") && log.contains("password.changed"),
        "{log}"
    );
    assert!(!log.contains(password.trim()) && !log.contains("root's choice"));
    control.end();
}

// Catches a page that is missing without a word, and one without the headers that keep it in bounds.
#[test]
fn the_page_is_served_in_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let control = start(folder.path(), &folder.path().join("first-password"));
    let (status, head, body) = over_tcp(&control, "GET", "/", None);
    let head = head.to_lowercase();
    assert_eq!(status, 200);
    assert!(body.contains("<html") && body.contains("Weir"), "{body}");
    assert!(
        head.contains("content-security-policy: default-src 'self'"),
        "{head}"
    );
    assert!(
        head.contains("x-content-type-options: nosniff") && head.contains("text/html"),
        "{head}"
    );
    let (status, _, _) = over_tcp(&control, "GET", "/assets/none.js", None);
    assert_eq!(status, 404);
    control.end();
}
