//! Senders that sign nothing: a shared secret in the Authorization header, as `Bearer SECRET` or as Basic
//! user and password. Takes headers and body; gives `Verified` or the reason for refusing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::Verified;
use super::slack::{Refused, single};
use crate::model::time::Millis;

/// The shortest secret taken, in bytes.
const SHORTEST: usize = 12;

/// What one route accepts: whole `Bearer` tokens and whole `user:password` pairs; several while rotating.
#[derive(Clone)]
pub struct Shared {
    bearer: Vec<Vec<u8>>,
    basic: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared({} hidden)", self.bearer.len() + self.basic.len())
    }
}

impl Shared {
    /// The bearer tokens of a route, and user and password.
    ///
    /// # Errors
    /// There is none, or one cannot be right; the text names no secret.
    pub fn new(bearer: &[String], basic: Option<(&str, &str)>) -> Result<Shared, String> {
        let make = "for example from `openssl rand -hex 24`";
        if bearer.is_empty() && basic.is_none() {
            return Err(format!("no secret: give a bearer token, {make}, or a user with a password"));
        }
        for secret in bearer.iter().map(String::as_str).chain(basic.map(|(_, password)| password)) {
            if secret.trim() != secret {
                return Err("a secret starts or ends with white space: remove that".into());
            }
            if secret.len() < SHORTEST {
                return Err(format!("a secret is shorter than {SHORTEST} characters: make a longer one, {make}"));
            }
        }
        if basic.is_some_and(|(user, _)| user.is_empty() || user.contains(':')) {
            return Err("the user must not be empty and must not hold a colon".into());
        }
        let pair = basic.map(|(user, password)| format!("{user}:{password}").into_bytes());
        Ok(Shared {
            bearer: bearer.iter().map(|t| t.clone().into_bytes()).collect(),
            basic: pair.into_iter().collect(),
        })
    }
}

/// Proves a request by its Authorization header: exactly one, `Bearer TOKEN` or `Basic` of user and
/// password. Every secret is compared, as digests, so that the time taken says nothing about any.
///
/// # Errors
/// The reason for refusing, never with a part of the secret.
pub fn bearer(shared: &Shared, headers: &[(&str, &[u8])], body: Vec<u8>, now: Millis) -> Result<Verified, Refused> {
    let value = single(headers, "authorization")?;
    let (given, accepted) = presented(value, shared).ok_or(Refused::Scheme)?;
    if !accepted.iter().fold(false, |fits, secret| same(secret, &given) | fits) {
        return Err(Refused::Mismatch);
    }
    let hash = hex::encode(Sha256::digest(&body));
    Ok(Verified::seal(body, now.0.div_euclid(1_000), "", &hash))
}

/// What the sender showed, and what that is compared with. The scheme's name is free in case (RFC 9110).
fn presented<'a>(value: &[u8], shared: &'a Shared) -> Option<(Vec<u8>, &'a [Vec<u8>])> {
    let space = value.iter().position(|b| *b == b' ')?;
    let (scheme, rest) = (&value[..space], &value[space + 1..]);
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some((rest.to_vec(), &shared.bearer));
    }
    let basic = scheme.eq_ignore_ascii_case(b"basic");
    basic.then(|| STANDARD.decode(rest).ok()).flatten().map(|pair| (pair, shared.basic.as_slice()))
}

/// Equality through a keyed hash of both, compared in constant time.
fn same(secret: &[u8], given: &[u8]) -> bool {
    let hash = |bytes: &[u8]| {
        Hmac::<Sha256>::new_from_slice(b"drbot bearer").map(|mut mac| {
            mac.update(bytes);
            mac
        })
    };
    match (hash(secret), hash(given)) {
        (Ok(a), Ok(b)) => a.verify_slice(&b.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "am-secret-token-0123456789";

    fn ask(headers: &[(&str, String)]) -> Result<(), Refused> {
        let tokens = ["another-token-of-this-route".to_owned(), TOKEN.to_owned()];
        let shared = Shared::new(&tokens, Some(("am", "a:password-with-a-colon"))).unwrap();
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        bearer(&shared, &headers, b"{}".to_vec(), Millis(0)).map(|_| ())
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn only_one_exact_secret_passes() {
        for good in [format!("Bearer {TOKEN}"), format!("bearer {TOKEN}"), basic("am:a:password-with-a-colon")] {
            assert_eq!(ask(&[("Authorization", good)]), Ok(()));
        }
        let bad = [
            format!("Bearer {TOKEN} "),
            format!("Bearer  {TOKEN}"),
            TOKEN.to_owned(),
            "Bearer ".to_owned(),
            "Bearer".to_owned(),
            format!("Bearer {}", &TOKEN[1..]),
            format!("Bearer {TOKEN}{TOKEN}"),
            "Bearer am:a:password-with-a-colon".to_owned(),
            basic(TOKEN),
            basic(&format!("am:{TOKEN}")),
            basic("AM:a:password-with-a-colon"),
            basic("am:a:password-with-a-colon\n"),
            "Basic !!!".to_owned(),
        ];
        for value in bad {
            assert!(ask(&[("authorization", value.clone())]).is_err(), "{value}");
        }
        let good = || ("authorization", format!("Bearer {TOKEN}"));
        assert_eq!(ask(&[]), Err(Refused::MissingHeader("authorization")));
        assert_eq!(ask(&[good(), good()]), Err(Refused::RepeatedHeader("authorization")));
    }

    #[test]
    fn secrets_that_cannot_be_right_are_refused() {
        assert!(Shared::new(&[], None).is_err());
        for bad in ["", "short", "  twelve-characters-and-space"] {
            assert!(Shared::new(&[bad.to_owned()], None).is_err(), "{bad}");
            assert!(Shared::new(&[], Some(("am", bad))).is_err(), "{bad}");
        }
        assert!(Shared::new(&[], Some(("a:m", TOKEN))).is_err());
        assert!(!format!("{:?}", Shared::new(&[TOKEN.to_owned()], None)).contains("am-secret"));
    }
}
