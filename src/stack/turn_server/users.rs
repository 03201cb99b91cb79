//! Who may allocate: users with passwords, and users whose credentials somebody gives out for a while.
//!
//! *Time-limited credentials* (draft-uberti-behave-turn-rest): the user name is `EXPIRY:NAME`, with the expiry in
//! seconds since the Unix epoch, and the password is base64(HMAC-SHA1(secret, user name)). Whoever shares the secret
//! gives them out, and the server keeps nothing of them. Once they have expired they allocate nothing more; what was
//! allocated by them can still be used and refreshed by them, or a long call would end with its first credentials.
//! Quotas count by NAME. A hash in the name's place (RFC 8489, section 14.4) does not say which NAME it is of and is
//! refused for such users; clients must send the name.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use turn_server_proto::types::stun::attribute::{Userhash, Username};
use turn_server_proto::types::stun::message::{IntegrityAlgorithm, IntegrityKey, LongTermCredentials};
use zeroize::Zeroizing;

use super::request::{Request, Signer};

/// Somebody who may allocate, by long-term credentials (RFC 8489, section 9.2). Its `Debug` masks the password.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The user's name, at most 508 bytes, as prepared by OpaqueString (RFC 8265).
    pub name: String,
    /// The user's password, prepared likewise.
    pub password: String,
}

impl User {
    /// A user.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), password: password.into() }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a server shares with whoever gives out time-limited credentials. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnSecret(Zeroizing<Vec<u8>>);

impl TurnSecret {
    /// A secret of any length; 16 random bytes are enough.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    /// Credentials for `name` that expire at that time since the Unix epoch.
    pub fn grant(&self, name: &str, expires: Duration) -> User {
        self.user(&format!("{}:{name}", expires.as_secs()))
    }

    fn user(&self, name: &str) -> User {
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&self.0) else { return User::new(name, "") };
        mac.update(name.as_bytes());
        User::new(name, STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret(***)")
    }
}

/// Whom a request is from.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// The credentials.
    pub(super) user: User,
    /// Whose quota counts.
    pub(super) name: String,
    /// When the credentials expire, since the Unix epoch.
    expires: Option<Duration>,
}

impl Account {
    pub(super) fn has_expired(&self, unix: Duration) -> bool {
        self.expires.is_some_and(|expires| expires <= unix)
    }
}

/// Those who may allocate, by name and by the hash that clients may send in its place (RFC 8489, section 14.4).
#[derive(Debug)]
pub(super) struct Users {
    realm: String,
    users: BTreeMap<String, User>,
    names: BTreeMap<[u8; 32], String>,
    secret: Option<TurnSecret>,
}

impl Users {
    pub(super) fn new(realm: &str, users: &[User], secret: Option<TurnSecret>) -> Self {
        let names = users.iter().map(|user| (Userhash::compute(&user.name, realm), user.name.clone())).collect();
        let users = users.iter().map(|user| (user.name.clone(), user.clone())).collect();
        Self { realm: realm.to_owned(), users, names, secret }
    }

    /// Who has signed a request; none for everything else.
    pub(super) fn signer(&self, request: &Request<'_>) -> Option<(Signer, Account)> {
        let (account, algorithm) = (self.claimed(request)?, request.algorithm());
        let signer = Signer::new(self.key(&account.user, algorithm), algorithm);
        request.is_signed_by(&signer).then_some((signer, account))
    }

    /// Whom a request claims to be from.
    fn claimed(&self, request: &Request<'_>) -> Option<Account> {
        if let Some(hash) = request.attribute::<Userhash>() {
            return self.known(self.names.get(hash.hash())?);
        }
        let name = request.attribute::<Username>()?;
        self.known(name.username()).or_else(|| self.granted(name.username()))
    }

    fn known(&self, name: &str) -> Option<Account> {
        let user = self.users.get(name)?.clone();
        Some(Account { name: user.name.clone(), user, expires: None })
    }

    fn granted(&self, login: &str) -> Option<Account> {
        let (expires, name) = login.split_once(':')?;
        let expires = Duration::from_secs(expires.parse().ok()?);
        let user = self.secret.as_ref()?.user(login);
        Some(Account { user, name: name.to_owned(), expires: Some(expires) })
    }

    fn key(&self, user: &User, algorithm: IntegrityAlgorithm) -> IntegrityKey {
        let credentials = LongTermCredentials::new(user.name.clone(), user.password.clone());
        credentials.to_key(self.realm.clone()).make_key(algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_that_other_implementations_derive() {
        // printf %s 1433895918:ed | openssl dgst -sha1 -hmac north -binary | base64
        let user = TurnSecret::new("north").grant("ed", Duration::from_secs(1_433_895_918));
        assert_eq!(user.name, "1433895918:ed");
        assert_eq!(user.password, EXPECTED);
        assert!(!format!("{user:?}{:?}", TurnSecret::new("north")).contains("north"));
    }

    const EXPECTED: &str = "D0RxqzlRhpA5+Z1HyvSyspKPkpA=";
}
