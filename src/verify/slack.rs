//! Slack's request signature, version 0. Takes headers as bytes, the raw body, the signing secrets and
//! the time; gives a `Verified` or the reason for refusing, which never names an expected value.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Verified;
use crate::model::time::Millis;

/// The header with the second of signing.
pub const TIMESTAMP: &str = "x-slack-request-timestamp";
/// The header with the signature.
pub const SIGNATURE: &str = "x-slack-signature";

/// How far the sender's clock and ours may differ, to either side.
const WINDOW_SECONDS: i64 = 300;
/// Slack's secrets have 32 characters; much less is a placeholder or a cut paste.
const SHORTEST_SECRET: usize = 24;
/// Keeps the number far from overflow.
const LONGEST_STAMP: usize = 12;

/// The signing secrets, as ready keys. Several while one is being replaced.
#[derive(Clone)]
pub struct SlackSecrets {
    keys: Vec<Hmac<Sha256>>,
}

impl SlackSecrets {
    /// Makes keys of the secrets.
    ///
    /// # Errors
    /// Refuses a list, or a secret in it, that cannot be right, and says what to do. The text names a
    /// secret by its place only.
    pub fn new(secrets: Vec<String>) -> Result<SlackSecrets, String> {
        if secrets.is_empty() {
            return Err("no Slack signing secret: give at least one; it is on the app's page under \
                 Basic Information, App Credentials, Signing Secret"
                .to_owned());
        }
        let keys = secrets.iter().enumerate().map(|(at, secret)| key(at + 1, secret)).collect::<Result<_, _>>()?;
        Ok(SlackSecrets { keys })
    }

    /// Whether any key made this signature. All keys are tried, so that the time taken does not tell
    /// which one fits.
    fn fits(&self, stamp: &str, body: &[u8], mac: &[u8; 32]) -> bool {
        self.keys.iter().fold(false, |fits, key| {
            let mut hash = key.clone();
            for part in [b"v0:", stamp.as_bytes(), b":", body] {
                hash.update(part);
            }
            hash.verify_slice(mac).is_ok() | fits
        })
    }
}

impl std::fmt::Debug for SlackSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlackSecrets({} hidden)", self.keys.len())
    }
}

fn key(number: usize, secret: &str) -> Result<Hmac<Sha256>, String> {
    let advice = "copy the whole Signing Secret from the app's page under Basic Information, App Credentials";
    if secret.is_empty() {
        return Err(format!("Slack signing secret number {number} is empty: remove it, or {advice}"));
    }
    // A line end that came along from a file makes every signature wrong, with no hint why.
    if secret.trim() != secret {
        return Err(format!("Slack signing secret number {number} starts or ends with white space: remove that"));
    }
    if secret.len() < SHORTEST_SECRET {
        return Err(format!("Slack signing secret number {number} is shorter than {SHORTEST_SECRET} bytes: {advice}"));
    }
    Hmac::new_from_slice(secret.as_bytes()).map_err(|e| format!("Slack signing secret number {number}: {e}"))
}

/// Why a request was refused. For the log only: the sender gets a bare 401.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A header that must be there is not.
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// A header that must be there once is there more often, and it is unclear which one counts.
    #[error("the header {0} is there more than once")]
    RepeatedHeader(&'static str),
    /// The timestamp is not 1 to 12 ASCII digits.
    #[error("the timestamp is not a plain number of seconds")]
    Timestamp,
    /// Signed too long ago (positive) or too far in the future (negative).
    #[error("the timestamp is {skew} s behind our clock (negative: ahead); at most {WINDOW_SECONDS} s are allowed")]
    Stale {
        /// Our clock minus the timestamp, in whole seconds.
        skew: i64,
    },
    /// The signature is not `v0=` and 64 lower-case hex digits.
    #[error("the signature does not have the form of version 0")]
    Shape,
    /// The Authorization header is neither `Bearer TOKEN` nor `Basic` of user and password.
    #[error("the Authorization header is neither Bearer nor Basic")]
    Scheme,
    /// No secret made this signature for this timestamp and body.
    #[error("no secret fits: changed on the way, or made with another secret")]
    Mismatch,
}

/// Proves that Slack sent `body`. Header names are compared without regard to case, values exactly.
///
/// # Errors
/// The reason for refusing.
pub fn slack(
    secrets: &SlackSecrets,
    headers: &[(&str, &[u8])],
    body: Vec<u8>,
    now: Millis,
) -> Result<Verified, Refused> {
    let (stamp, seconds) = stamp(single(headers, TIMESTAMP)?)?;
    let (signature, mac) = signature(single(headers, SIGNATURE)?)?;
    let skew = now.0.div_euclid(1_000).saturating_sub(seconds);
    if skew.unsigned_abs() > WINDOW_SECONDS.unsigned_abs() {
        return Err(Refused::Stale { skew });
    }
    if !secrets.fits(stamp, &body, &mac) {
        return Err(Refused::Mismatch);
    }
    Ok(Verified::seal(body, seconds, stamp, signature))
}

/// Whether this is Slack's probe of our certificate, which comes unsigned: answer 200 and do nothing.
#[must_use]
pub fn is_ssl_check(body: &[u8]) -> bool {
    url::form_urlencoded::parse(body).any(|(name, value)| name == "ssl_check" && value == "1")
}

/// The value of a header that must be there exactly once.
pub(super) fn single<'a>(headers: &[(&str, &'a [u8])], name: &'static str) -> Result<&'a [u8], Refused> {
    let mut found = headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(Refused::MissingHeader(name)),
        (Some(_), Some(_)) => Err(Refused::RepeatedHeader(name)),
    }
}

/// The text is kept beside the number because the text is what was signed.
fn stamp(value: &[u8]) -> Result<(&str, i64), Refused> {
    let plain = (1..=LONGEST_STAMP).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| plain).ok_or(Refused::Timestamp)?;
    text.parse().map(|seconds| (text, seconds)).map_err(|_| Refused::Timestamp)
}

fn signature(value: &[u8]) -> Result<(&str, [u8; 32]), Refused> {
    let text = std::str::from_utf8(value).map_err(|_| Refused::Shape)?;
    let digits = text.strip_prefix("v0=").ok_or(Refused::Shape)?;
    // The decoder takes upper case too; one MAC must have one spelling, or a replay gets a second key.
    if !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Refused::Shape);
    }
    let mut mac = [0; 32];
    hex::decode_to_slice(digits, &mut mac).map_err(|_| Refused::Shape)?;
    Ok((text, mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const NOW: i64 = 1_531_420_618;
    const BODY: &[u8] = b"token=x&command=%2Fdr&text=status+\xff";

    type List<'a> = &'a [(&'a str, &'a [u8])];

    fn secrets() -> SlackSecrets {
        SlackSecrets::new(vec![SECRET.to_owned()]).unwrap()
    }

    fn sign(secret: &str, stamp: &[u8], body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(&[b"v0:", stamp, b":", body].concat());
        format!("v0={}", hex::encode(mac.finalize().into_bytes()))
    }

    fn ask(stamp: &[u8], signature: &[u8], body: &[u8]) -> Result<Verified, Refused> {
        let headers = [("X-Slack-Request-Timestamp", stamp), ("X-Slack-Signature", signature)];
        slack(&secrets(), &headers, body.to_vec(), Millis(NOW * 1_000))
    }

    #[test]
    fn published_vectors_are_accepted() {
        let a = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let b = "token=x&team_id=T0DR&team_domain=acme&channel_id=C0INC&channel_name=incident-1&user_id=U0ALICE&user_name=alice&command=%2Fdr&text=status+db&api_app_id=A0DR&is_enterprise_install=false&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT0DR%2F1%2Fabc&trigger_id=1.2.abc";
        let own = "dr-bot-signing-secret-0123456789ab";
        let vectors = [
            (SECRET, "1531420618", a, "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
            (own, "1795341600", b, "v0=eeac0b65a25208ca9282107fa5ae6912b22a82d8a6af2cbb8ee8934ef26af4c3"),
            (own, "1795341600", "", "v0=2be58f1dceee840f2a91b99754e4f2252390574ea892d991ed565457170bea8b"),
        ];
        for (secret, stamp, body, signature) in vectors {
            let secrets = SlackSecrets::new(vec![secret.to_owned()]).unwrap();
            let headers = [(TIMESTAMP, stamp.as_bytes()), (SIGNATURE, signature.as_bytes())];
            let at = Millis(stamp.parse::<i64>().unwrap() * 1_000);
            let verified = slack(&secrets, &headers, body.into(), at).unwrap();
            assert_eq!(verified.body(), body.as_bytes());
            assert_eq!(verified.timestamp(), at);
            let mut hash = <Sha256 as sha2::Digest>::new();
            sha2::Digest::update(&mut hash, format!("{stamp}:{signature}"));
            assert_eq!(verified.delivery_key(), hex::encode(sha2::Digest::finalize(hash)));
        }
    }

    #[test]
    fn captured_cases_are_judged_as_both_official_verifiers_judge_them() {
        let text = include_str!("../../tests/fixtures/captured/slack_signature_cases.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut accepted = Vec::new();
        let cases = file["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 20);
        for case in cases {
            let headers: Vec<(&str, &[u8])> = case["headers"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str().unwrap().as_bytes()))
                .collect();
            let secrets = SlackSecrets::new(vec![case["signing_secret"].as_str().unwrap().to_owned()]).unwrap();
            let now = Millis(case["verifier_clock"].as_i64().unwrap() * 1_000);
            let ours = slack(&secrets, &headers, case["body"].as_str().unwrap().into(), now).is_ok();
            let both = case["official_verdict"] == true && case["bolt_js_verifySlackRequest"] == "accept";
            assert_eq!(ours, both, "{}", case["case"]);
            accepted.extend(ours.then(|| case["case"].as_str().unwrap()));
        }
        let good =
            ["slash_good", "interactive_good", "age_300s", "future_300s", "lower_case_header_names", "empty_body_good"];
        assert_eq!(accepted, good);
    }

    /// Timestamps that are no plain number, each with a signature that is right for that very text.
    const BAD_STAMPS: &[&[u8]] = &[
        b"",
        b" ",
        b"+1531420618",
        b"-1531420618",
        b"-1",
        b" 1531420618",
        b"1531420618 ",
        b"\t1531420618",
        b"1531420618\n",
        b"1531420618\r\n",
        b"1531420618\0",
        b"\x001531420618",
        b"1531420618.0",
        b"1531420618,0",
        b"1e9",
        b"1.531420618e9",
        b"0x5b47a10a",
        b"1_531_420_618",
        b"1531420618s",
        b"1531420618;1531420618",
        b"1531420618,1531420618",
        b"0001531420618",
        b"9999999999999",
        b"9223372036854775808",
        b"18446744073709551616",
        b"99999999999999999999999999999999999999",
        b"NaN",
        b"inf",
        b"null",
        b"now",
        b"\xff\xfe",
        "１５３１４２０６１８".as_bytes(),
        "١٥٣١٤٢٠٦١٨".as_bytes(),
        "1531420618\u{200b}".as_bytes(),
        b"\"1531420618\"",
        b"Thu, 12 Jul 2018 18:36:58 GMT",
        // Well-formed but far away: milliseconds do not fit, zero and the largest do.
        b"1531420618000",
        b"0",
        b"999999999999",
    ];

    fn bad_signatures(good: &str) -> Vec<Vec<u8>> {
        let digits = &good[3..];
        let mut bad: Vec<Vec<u8>> = [
            String::new(),
            "v0".to_owned(),
            "v0=".to_owned(),
            digits.to_owned(),
            format!("v1={digits}"),
            format!("V0={digits}"),
            format!("v00={digits}"),
            format!("v0:{digits}"),
            format!("v0 ={digits}"),
            format!("v0= {digits}"),
            format!(" {good}"),
            format!("{good} "),
            format!("\t{good}"),
            format!("{good}\n"),
            format!("{good}\0"),
            format!("\0{good}"),
            format!("{good}0"),
            format!("{good}00"),
            format!("{good},{good}"),
            format!("{good};"),
            format!("v0=0x{}", &digits[2..]),
            format!("v0={}", digits.to_uppercase()),
            good.to_uppercase(),
            good[..66].to_owned(),
            good[..65].to_owned(),
            format!("{}g", &good[..66]),
            format!("{}\u{ff10}", &good[..66]),
            format!("v0={}", "0".repeat(64)),
            format!("v0={}", "f".repeat(64)),
            format!("v0={}", digits.chars().rev().collect::<String>()),
            format!("sha256={digits}"),
            format!("\"{good}\""),
        ]
        .map(String::into_bytes)
        .into();
        bad.push([&good.as_bytes()[..66], b"\xff"].concat());
        bad
    }

    #[test]
    fn no_malformed_header_is_accepted() {
        let stamp = b"1531420618";
        let good = sign(SECRET, stamp, BODY);
        let mut rows = 0;
        for bad in BAD_STAMPS {
            let ours = ask(bad, sign(SECRET, bad, BODY).as_bytes(), BODY).unwrap_err();
            assert!(matches!(ours, Refused::Timestamp | Refused::Stale { .. }), "{bad:?} {ours}");
            rows += 1;
        }
        for bad in bad_signatures(&good) {
            let ours = ask(stamp, &bad, BODY).unwrap_err();
            assert!(matches!(ours, Refused::Shape | Refused::Mismatch), "{bad:?} {ours}");
            rows += 1;
        }
        let (t, s): (&[u8], &[u8]) = (stamp, good.as_bytes());
        let lists: &[(List<'_>, Refused)] = &[
            (&[], Refused::MissingHeader(TIMESTAMP)),
            (&[(TIMESTAMP, t)], Refused::MissingHeader(SIGNATURE)),
            (&[(SIGNATURE, s)], Refused::MissingHeader(TIMESTAMP)),
            (&[(TIMESTAMP, t), ("x-slack-signature ", s)], Refused::MissingHeader(SIGNATURE)),
            (&[("x_slack_request_timestamp", t), (SIGNATURE, s)], Refused::MissingHeader(TIMESTAMP)),
            (&[(TIMESTAMP, t), (SIGNATURE, s), (SIGNATURE, s)], Refused::RepeatedHeader(SIGNATURE)),
            (&[(TIMESTAMP, t), (SIGNATURE, s), ("X-Slack-Signature", b"v0=")], Refused::RepeatedHeader(SIGNATURE)),
            (&[(SIGNATURE, b""), (SIGNATURE, s), (TIMESTAMP, t)], Refused::RepeatedHeader(SIGNATURE)),
            (&[(TIMESTAMP, t), (TIMESTAMP, t), (SIGNATURE, s)], Refused::RepeatedHeader(TIMESTAMP)),
            (
                &[(TIMESTAMP, t), ("X-SLACK-REQUEST-TIMESTAMP", b"1"), (SIGNATURE, s)],
                Refused::RepeatedHeader(TIMESTAMP),
            ),
            (&[(TIMESTAMP, s), (SIGNATURE, t)], Refused::Timestamp),
        ];
        for (headers, why) in lists {
            let ours = slack(&secrets(), headers, BODY.to_vec(), Millis(NOW * 1_000)).unwrap_err();
            assert_eq!(ours, *why);
            rows += 1;
        }
        assert!(rows >= 60, "{rows}");
        // The control: unchanged, the same request passes.
        assert!(ask(stamp, good.as_bytes(), BODY).is_ok());
        let mixed = [("Host", b"x".as_slice()), ("X-SLACK-request-TIMESTAMP", t), ("x-Slack-SIGNATURE", s)];
        assert!(slack(&secrets(), &mixed, BODY.to_vec(), Millis(NOW * 1_000)).is_ok());
    }

    #[test]
    fn the_window_has_two_sides_and_counts_whole_seconds() {
        let edges = [(-301, false), (-300, true), (-299, true), (299, true), (300, true), (301, false)];
        let signature = sign(SECRET, b"1531420618", BODY);
        let headers = [(TIMESTAMP, b"1531420618".as_slice()), (SIGNATURE, signature.as_bytes())];
        for (skew, good) in edges {
            for part in [0, 999] {
                let ours = slack(&secrets(), &headers, BODY.to_vec(), Millis((NOW + skew) * 1_000 + part));
                assert_eq!(ours.is_ok(), good, "{skew} {part}");
                assert!(good || ours.unwrap_err() == Refused::Stale { skew });
            }
        }
        for now in [i64::MIN, i64::MAX, 0, -1] {
            assert!(slack(&secrets(), &headers, BODY.to_vec(), Millis(now)).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let good = [b"1531420618".to_vec(), sign(SECRET, b"1531420618", BODY).into_bytes(), BODY.to_vec()];
        assert!(ask(&good[0], &good[1], &good[2]).is_ok());
        for field in 0..good.len() {
            for bit in 0..good[field].len() * 8 {
                let mut bad = good.clone();
                bad[field][bit / 8] ^= 1 << (bit % 8);
                assert!(ask(&bad[0], &bad[1], &bad[2]).is_err(), "field {field} bit {bit}");
            }
        }
    }

    #[test]
    fn two_secrets_overlap_while_one_is_replaced() {
        let (old, new) = ("old-old-old-old-old-old-old-old", "new-new-new-new-new-new-new-new");
        let by = |list: &[&str], secret: &str| {
            let secrets = SlackSecrets::new(list.iter().map(|s| (*s).to_owned()).collect()).unwrap();
            let signature = sign(secret, b"1531420618", BODY);
            let headers = [(TIMESTAMP, b"1531420618".as_slice()), (SIGNATURE, signature.as_bytes())];
            slack(&secrets, &headers, BODY.to_vec(), Millis(NOW * 1_000)).map(|_| ())
        };
        assert_eq!((by(&[old, new], old), by(&[old, new], new)), (Ok(()), Ok(())));
        assert_eq!((by(&[new], old), by(&[new], new)), (Err(Refused::Mismatch), Ok(())));
        assert_eq!(by(&[old, new], SECRET), Err(Refused::Mismatch));
    }

    #[test]
    fn unusable_secrets_are_refused_and_none_is_shown() {
        let lists: [(&[&str], &str); 6] = [
            (&[], "give at least one"),
            (&[""], "number 1 is empty"),
            (&[SECRET, ""], "number 2 is empty"),
            (&["12345678901234567890123"], "shorter than 24"),
            (&[SECRET, "hunter2hunter2"], "number 2 is shorter"),
            (&["8f742231b10e8888abcd99yyyzzz85a5\n"], "white space"),
        ];
        for (list, says) in lists {
            let error = SlackSecrets::new(list.iter().map(|s| (*s).to_owned()).collect()).unwrap_err();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("8f74"), "{error}");
        }
        assert!(SlackSecrets::new(vec!["123456789012345678901234".to_owned()]).is_ok());
        assert_eq!(format!("{:?}", secrets()), "SlackSecrets(1 hidden)");
        let verified = ask(b"1531420618", sign(SECRET, b"1531420618", BODY).as_bytes(), BODY).unwrap();
        assert_eq!(format!("{verified:?}"), "Verified { seconds: 1531420618, bytes: 35 }");
        let refused = ask(b"1531420618", format!("v0={}", "0".repeat(64)).as_bytes(), BODY).unwrap_err();
        assert!(!refused.to_string().contains(&sign(SECRET, b"1531420618", BODY)[3..11]));
    }

    #[test]
    fn the_certificate_probe_is_recognised() {
        for (body, is) in [
            ("ssl_check=1&token=x", true),
            ("token=x&ssl_check=1", true),
            ("ssl%5Fcheck=1", true),
            ("", false),
            ("ssl_check=0", false),
            ("ssl_check=", false),
            ("text=ssl_check%3D1", false),
            ("xssl_check=1", false),
            ("ssl_check=11", false),
        ] {
            assert_eq!(is_ssl_check(body.as_bytes()), is, "{body}");
        }
        assert!(!is_ssl_check(b"\xff\xfe"));
    }
}
