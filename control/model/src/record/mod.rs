//! The records that control owns: what its store keeps, what its changes are made of.
//!
//! Plain data on the types of `weir_abi`. Times are instants in UTC; what is secret zeroizes when dropped and prints
//! nothing of itself. A record says nothing of live state: sessions' counters and handshakes are the data plane's.

mod audit;
mod id;
mod outbox;
mod peer;
mod pending;
mod rules;
mod secret;
mod session;
mod settings;
mod state;
mod token;
mod user;
mod write;

pub use audit::{Action, Actor, AuditEntry, AuditHash, Facts, NewAuditEntry, Source};
pub use id::{ChangeId, IdError, SessionId, TokenId};
pub use outbox::{CommitNumber, DataPlaneSeen, OutboxKey};
pub use peer::Peer;
pub use pending::{Before, PendingChange};
pub use rules::Rules;
pub use secret::{PasswordHash, SecretHash};
pub use session::Session;
pub use settings::{AlertThresholds, MetricsNames, Settings};
pub use state::State;
pub use token::{Scope, ScopeError, Token};
pub use user::{Role, RoleError, User};
pub use write::Write;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    // Catches two things of one name, by which tokens or audit entries would be mixed up, and a list that misses one.
    #[test]
    fn every_word_means_one_thing() {
        let roles = Role::ALL.map(|role| role.name().parse());
        assert_eq!(roles, Role::ALL.map(Ok));
        let scopes = Scope::ALL.map(|scope| scope.name().parse());
        assert_eq!(scopes, Scope::ALL.map(Ok));
        let actions: BTreeSet<_> = Action::ALL.map(Action::name).into();
        assert_eq!(actions.len(), Action::ALL.len());
        assert!("Viewer".parse::<Role>().is_err() && "peers".parse::<Scope>().is_err());
    }

    // Catches a role that may less than one below it, as roles are compared by their order.
    #[test]
    fn roles_are_ordered() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Administrator);
    }

    // Catches a secret that Debug lets out: into a log, a panic's message, an error.
    #[test]
    fn debug_shows_no_secret() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let user = User {
            name: "alice".to_owned(),
            role: Role::Viewer,
            password: PasswordHash::from_phc("$argon2id$hidden".to_owned()),
            must_change_password: false,
            disabled: false,
            created_at: now,
            updated_at: now,
            last_login_at: None,
        };
        let token = Token {
            id: TokenId::from_bytes([1; 16]),
            name: "deploy".to_owned(),
            hash: SecretHash::from_bytes([0xab; 32]),
            role: Role::Viewer,
            scopes: BTreeSet::new(),
            made_by: None,
            created_at: now,
            expires_at: None,
            last_used_at: None,
        };
        let shown = format!("{:?} {:?}", Write::User(user), Write::Token(token));
        assert!(shown.contains("alice") && shown.contains("deploy"));
        assert!(!shown.contains("hidden") && !shown.contains("171"), "{shown}");
    }

    // Catches a peer that keeps its access when its time has come, or loses it a moment early.
    #[test]
    fn a_peer_ends_when_it_expires() {
        let at = |second| jiff::Timestamp::from_second(second).expect("a time");
        let mut peer = Peer::new(weir_abi::key::PublicKey::from_bytes([1; 32]), at(0));
        assert!(peer.is_active(at(10)));
        peer.expires_at = Some(at(10));
        assert!(peer.is_active(at(9)) && !peer.is_active(at(10)));
        peer.expires_at = None;
        peer.disabled = true;
        assert!(!peer.is_active(at(0)));
    }
}
