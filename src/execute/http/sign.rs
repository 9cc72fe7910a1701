//! Signatures for an object store (AWS Signature Version 4). Takes a read of an address, a key and the time;
//! gives the headers that prove it. The secret itself is never sent.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use url::Url;

use crate::model::time::Millis;

/// Who reads an object store, and where it is.
#[derive(Clone)]
pub struct Keys {
    /// Such as `eu-central-1`.
    pub region: String,
    pub access_key: String,
    pub secret_key: String,
}

/// The headers for a request without a body. The address's query must be sorted and encoded strictly.
///
/// # Errors
/// The time cannot be written.
pub fn headers(keys: &Keys, method: &str, url: &Url, at: Millis) -> Result<[(&'static str, String); 3], String> {
    let time = jiff::Timestamp::from_millisecond(at.0).map_err(|e| e.to_string())?;
    let (day, moment) = (time.strftime("%Y%m%d").to_string(), time.strftime("%Y%m%dT%H%M%SZ").to_string());
    let empty = hex::encode(Sha256::digest(b""));
    let host = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!(
        "{method}\n{}\n{}\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{moment}\n\n{names}\n{empty}",
        url.path(),
        url.query().unwrap_or_default()
    );
    let scope = format!("{day}/{}/s3/aws4_request", keys.region);
    let signed = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let first = format!("AWS4{}", keys.secret_key).into_bytes();
    let key = [day.as_str(), &keys.region, "s3", "aws4_request"].iter().fold(first, |key, part| mac(&key, part));
    let access = &keys.access_key;
    let signature = hex::encode(mac(&key, &signed));
    let proof = format!("AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}");
    Ok([("x-amz-date", moment), ("x-amz-content-sha256", empty), ("authorization", proof)])
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("a key of any length will do") };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// A text with everything but letters, digits and `-._~` as `%XX`; `/` stays if it separates.
#[must_use]
pub fn strict(text: &[u8], separates: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(*byte)),
            b'/' if separates => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the vendor's documentation ("Signature Calculations for the Authorization Header").
    #[test]
    fn the_vendors_published_examples() {
        let keys = Keys {
            region: "us-east-1".into(),
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        };
        let at = Millis(1_369_353_600_000);
        let cases = [
            ("?lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ];
        for (query, signature) in cases {
            let url = Url::parse(&format!("https://examplebucket.s3.amazonaws.com/{query}")).unwrap();
            let [(_, moment), _, (_, proof)] = headers(&keys, "GET", &url, at).unwrap();
            assert_eq!(moment, "20130524T000000Z");
            assert_eq!(
                proof,
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                     SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
                )
            );
        }
    }

    #[test]
    fn what_is_encoded_is_encoded_strictly() {
        assert_eq!(strict("a b/ü+~".as_bytes(), true), "a%20b/%C3%BC%2B~");
        assert_eq!(strict(b"a/b", false), "a%2Fb");
    }
}
