//! `weir token`, `weir user` and `weir admin`: who may use the API and the web page.

use crate::args::{AdminCommand, Password, Role, TokenArgs, TokenCommand, UserCommand};
use crate::change::print_json;
use crate::control::records::{Token, TokenCreated, User};
use crate::control::{Control, ControlError, Sending, escaped};
use crate::error::Outcome;
use crate::keys::print;
use crate::secret::{obtain, random_password};
use crate::term::{Table, Tone, colours, printable, say};
use crate::times::{self, relative, relative_or_never};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::process::ExitCode;
use ureq::http::Method;
use zeroize::Zeroizing;

/// Who is made or changed, as the API takes it.
#[derive(Serialize)]
struct UserInput<'a> {
    name: &'a str,
    role: &'static str,
    password: &'a str,
    must_change_password: bool,
}

#[derive(Serialize)]
struct PasswordInput<'a> {
    new: &'a str,
}

/// `weir token`.
pub fn token(control: &Control, command: &TokenCommand) -> Outcome {
    match command {
        TokenCommand::Create(options) => create_token(control, options)?,
        TokenCommand::List { json } => list_tokens(control, *json)?,
        TokenCommand::Revoke { id } => {
            let path = format!("/v1/tokens/{}", escaped(id));
            control.send(&Method::DELETE, &path, &Sending::default())?;
            say(&printable(&format!("token {id} ends now")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create_token(control: &Control, options: &TokenArgs) -> Outcome<()> {
    let expires = times::end(&options.expires, "--expires", Timestamp::now())?;
    let mut input = json!({ "name": options.name, "role": options.role.name(), "expires_at": expires });
    if !options.scopes.is_empty() {
        input["scopes"] = json!(options.scopes);
    }
    let answer = control.send_json(&Method::POST, "/v1/tokens", &[], &input)?;
    if options.json {
        return print_json(&answer.read()?);
    }
    let made: TokenCreated = answer.read()?;
    let token = Zeroizing::new(made.token);
    let ends = relative_or_never(made.expires_at, Timestamp::now());
    print(&format!("{}\n", *token))?;
    say(&printable(&format!(
        "token {} is shown this once; it ends {ends}",
        made.id
    )));
    Ok(())
}

fn list_tokens(control: &Control, as_json: bool) -> Outcome<()> {
    let items = control.items("/v1/tokens")?;
    if as_json {
        return print_json(&items.into());
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["ID", "NAME", "ROLE", "SCOPES", "ENDS", "USED", "MADE BY"]);
    for token in Control::read_all::<Token>(&items, "GET /v1/tokens")? {
        let ends = token
            .expires_at
            .map_or("never".to_owned(), |end| relative(end, now));
        let used = relative_or_never(token.last_used_at, now);
        let over = token.expires_at.is_some_and(|end| end <= now);
        let cells = [
            token.id,
            token.name,
            token.role,
            token.scopes.join(" "),
            ends,
            used,
            token.created_by,
        ];
        let tone = if over { Tone::Dim } else { Tone::Plain };
        table.row(cells.map(|cell| (cell, tone)).to_vec());
    }
    let text = table.render(colours());
    print(if text.is_empty() { "no tokens\n" } else { &text })
}

/// `weir user`.
pub fn user(control: &Control, command: &UserCommand) -> Outcome {
    match command {
        UserCommand::List { json } => list_users(control, *json)?,
        UserCommand::Add { name, role, password } => {
            let password = typed(password)?;
            add(control, name, *role, &password)?;
            say(&printable(&format!(
                "user {name} may log in; the password is to be changed then"
            )));
        }
        UserCommand::Remove { name } => {
            control.send(&Method::DELETE, &path(name), &Sending::default())?;
            say(&printable(&format!("user {name} may log in no more")));
        }
        UserCommand::Passwd { name, password } => {
            set_password(control, name, &typed(password)?)?;
            say(&printable(&format!("user {name} has a new password")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn typed(password: &Password) -> Outcome<Zeroizing<String>> {
    obtain(
        password.password_file.as_deref(),
        "Password",
        "--password-file",
        true,
    )
}

fn path(name: &str) -> String {
    format!("/v1/users/{}", escaped(name))
}

fn add(control: &Control, name: &str, role: Role, password: &str) -> Result<(), ControlError> {
    let input = UserInput {
        name,
        role: role.name(),
        password,
        must_change_password: true,
    };
    control
        .send_json(&Method::POST, "/v1/users", &[], &input)
        .map(drop)
}

fn set_password(control: &Control, name: &str, password: &str) -> Result<(), ControlError> {
    let path = format!("{}/password", path(name));
    let input = PasswordInput { new: password };
    control.send_json(&Method::PUT, &path, &[], &input).map(drop)
}

fn list_users(control: &Control, as_json: bool) -> Outcome<()> {
    let items = control.items("/v1/users")?;
    if as_json {
        return print_json(&items.into());
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["NAME", "ROLE", "LAST LOGIN", ""]);
    for user in Control::read_all::<User>(&items, "GET /v1/users")? {
        let remark = match (user.disabled, user.must_change_password) {
            (true, _) => "locked out",
            (false, true) => "is to change the password",
            (false, false) => "",
        };
        let cells = [
            user.name,
            user.role,
            relative_or_never(user.last_login_at, now),
            remark.to_owned(),
        ];
        table.row(cells.map(|cell| (cell, Tone::Plain)).to_vec());
    }
    let text = table.render(colours());
    print(if text.is_empty() {
        "no users; make one with: weir admin reset\n"
    } else {
        &text
    })
}

/// `weir admin`.
pub fn admin(control: &Control, command: &AdminCommand) -> Outcome {
    let AdminCommand::Reset { name, json: as_json } = command;
    let password = random_password()?;
    match set_password(control, name, &password) {
        Ok(()) => {
            // Whoever is locked out may have been made less, or disabled.
            let whole = json!({ "role": "administrator", "disabled": false, "must_change_password": true });
            control.send_json(&Method::PATCH, &path(name), &[], &whole)?;
        }
        Err(ControlError::Refused { status: 404, .. }) => add(control, name, Role::Administrator, &password)?,
        Err(error) => return Err(error.into()),
    }
    if *as_json {
        let shown: Value = json!({ "name": name, "password": *password });
        print_json(&shown)?;
    } else {
        print(&format!("{}\n", *password))?;
        say(&printable(&format!(
            "administrator {name} logs in with this password, shown this once, and is to change it then"
        )));
    }
    Ok(ExitCode::SUCCESS)
}
