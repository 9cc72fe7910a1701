//! Object stores that speak S3. Takes a read; gives its signed request, or all objects below a prefix, page
//! after page, as JSON. Nothing but reading is possible here, whatever a runbook says.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::sign::{Keys, strict};
use super::{BODY_CAP, Http, HttpFault, HttpTarget, Raw, refused};
use crate::model::backups::time_in;
use crate::model::http::{HttpCall, Listing};

/// Most pages that are fetched; a store may hand out small ones.
const PAGES: usize = 1_000;

/// The part of a target that makes it an object store.
#[derive(Clone)]
pub struct ObjectStore {
    /// Stands in the path, behind the base; empty if it is part of the base's host.
    pub bucket: String,
    /// In front of every key; empty, or it ends with `/`.
    pub prefix: String,
    pub keys: Keys,
}

impl ObjectStore {
    /// The path below the base for an object.
    ///
    /// # Errors
    /// The call does more than read an object.
    pub fn path(&self, call: &HttpCall) -> Result<String, String> {
        if !call.method.reads() {
            return Err(format!("it is an object store, and drbot only reads there, never {}", call.method.word()));
        }
        if call.path.contains('?') {
            return Err("an object has no query".to_owned());
        }
        let key = percent_decoded(call.path.strip_prefix('/').ok_or("the path must begin with /")?)?;
        Ok(format!("{}{}", self.root(), strict(&[self.prefix.as_bytes(), &key].concat(), true)))
    }

    fn root(&self) -> String {
        if self.bucket.is_empty() { "/".to_owned() } else { format!("/{}/", strict(self.bucket.as_bytes(), false)) }
    }

    /// The address of one page of a listing.
    fn page(&self, base: &Url, prefix: &str, token: Option<&str>) -> Url {
        let mut query = String::new();
        if let Some(token) = token {
            query = format!("continuation-token={}&", strict(token.as_bytes(), false));
        }
        query += &format!("encoding-type=url&list-type=2&prefix={}", strict(prefix.as_bytes(), false));
        let mut url = base.clone();
        url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), self.root()));
        url.set_query(Some(&query));
        url
    }
}

fn percent_decoded(text: &str) -> Result<Vec<u8>, String> {
    let (bytes, mut out, mut i) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while i < bytes.len() {
        let pair = bytes.get(i + 1..i + 3).and_then(|p| hex::decode(p).ok());
        match (bytes[i], pair) {
            (b'%', Some(byte)) => {
                out.extend(byte);
                i += 3;
            }
            (b'%', None) => return Err("it holds a % that encodes nothing".to_owned()),
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    Ok(out)
}

/// Which store is listed, and until when.
pub(super) struct Reading<'a> {
    pub(super) name: &'a str,
    pub(super) target: &'a HttpTarget,
    pub(super) until: Instant,
}

/// One object as the store lists it.
struct Object {
    key: String,
    bytes: u64,
    modified: String,
}

impl Http {
    /// All objects below the call's path as a JSON list, or the first answer that is no page.
    pub(super) async fn listing(&self, of: &Reading<'_>, call: &HttpCall, list: &Listing) -> Result<Raw, HttpFault> {
        let store = of.target.store.as_ref();
        let store = store.ok_or_else(|| refused(format!("target {} is no object store", of.name)))?;
        let wrong = |why: String| refused(format!("target {}: {why}", of.name));
        let below = call.path.strip_prefix('/').ok_or_else(|| wrong("the path must begin with /".to_owned()))?;
        let below = percent_decoded(below).and_then(|b| String::from_utf8(b).map_err(|e| e.to_string()));
        let below = below.map_err(wrong)?;
        let whole = HttpCall { cap_bytes: BODY_CAP, ..call.clone() };
        let manifest = match &list.manifest {
            None => None,
            Some(name) => match self.manifest(of, &whole, name).await? {
                Ok(manifest) => Some(manifest),
                Err(answer) => return Ok(answer),
            },
        };
        let prefix = format!("{}{below}", store.prefix);
        let (mut objects, mut token) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let url = store.page(&of.target.base, &prefix, token.as_deref());
            let request = of.target.signed(url, call.method, (self.now)()).map_err(wrong)?;
            let raw = self.exchange(of, request, &whole).await?;
            if !(200..300).contains(&raw.status) {
                return Ok(raw.told());
            }
            let (found, next) = page(&raw).map_err(|why| unread(of, &why))?;
            objects.extend(found.into_iter().filter_map(|o| {
                let key = o.key.strip_prefix(&prefix)?.to_owned();
                // What some tools make in place of a folder.
                let folder = key.is_empty() || key.ends_with('/') && o.bytes == 0;
                (!folder).then_some(Object { key, ..o })
            }));
            if objects.len() as u64 > list.at_most {
                let why = format!("it holds more than {} objects there: name a narrower path", list.at_most);
                return Err(unread(of, &why));
            }
            token = match next {
                None => {
                    let all = listed(objects, manifest.as_ref(), list.manifest.as_deref());
                    return Ok(Raw { json: Some(all), ..raw });
                }
                // A store that repeats itself would never end.
                same if same == token => return Err(unread(of, "it lists the same page again and again")),
                next => next,
            };
        }
        Err(unread(of, &format!("its list goes on after {PAGES} pages")))
    }

    /// The list in the manifest object, or the answer that is none.
    async fn manifest(
        &self,
        of: &Reading<'_>,
        call: &HttpCall,
        name: &str,
    ) -> Result<Result<Vec<Value>, Raw>, HttpFault> {
        let call = HttpCall { path: format!("{}{name}", call.path), ..call.clone() };
        let request = super::request(of.target, &call, (self.now)());
        let request = request.map_err(|why| refused(format!("target {}: {why}", of.name)))?;
        let raw = self.exchange(of, request, &call).await?;
        if !(200..300).contains(&raw.status) {
            return Ok(Err(raw.told()));
        }
        match raw.json {
            Some(Value::Array(list)) => Ok(Ok(list)),
            _ => Err(unread(of, &format!("{name} is no JSON list of backups"))),
        }
    }
}

/// Nothing can be said about what it holds, and nothing was changed.
fn unread(of: &Reading<'_>, why: &str) -> HttpFault {
    refused(format!("target {}: {why}", of.name))
}

/// The objects as JSON. With a manifest each of its entries, with what is wrong with its object, and the
/// objects that it does not know, without a time.
fn listed(objects: Vec<Object>, manifest: Option<&Vec<Value>>, name: Option<&str>) -> Value {
    let element = |o: &Object, taken_at: Value| json!({"key": o.key, "bytes": o.bytes, "modified": o.modified, "taken_at": taken_at});
    let Some(manifest) = manifest else {
        let time = |o: &Object| time_in(&o.key).map_or(Value::Null, |at| json!(at.0 / 1_000));
        return objects.iter().map(|o| element(o, time(o))).collect();
    };
    let mut left: BTreeMap<&str, &Object> =
        objects.iter().filter(|o| Some(o.key.as_str()) != name).map(|o| (o.key.as_str(), o)).collect();
    let mut all = Vec::new();
    for entry in manifest {
        let key = entry["key"].as_str().unwrap_or_default();
        let mut one = match left.remove(key) {
            Some(object) => element(object, entry["taken_at"].clone()),
            None => {
                json!({"key": key, "bytes": 0, "taken_at": entry["taken_at"], "why": "it is in the manifest and not in the store"})
            }
        };
        let sum = entry["sha256"].as_str().unwrap_or_default();
        if one.get("why").is_none() && one["bytes"] != entry["bytes"] {
            one["why"] = "its size is not the one in the manifest".into();
        } else if one.get("why").is_none() && hex::decode(sum).map_or(0, |s| s.len()) != 32 {
            one["why"] = "the manifest has no SHA-256 of it".into();
        }
        all.push(one);
    }
    all.extend(left.into_values().map(|o| element(o, Value::Null)));
    Value::Array(all)
}

/// The objects of one page and the token of the next.
fn page(raw: &Raw) -> Result<(Vec<Object>, Option<String>), String> {
    let odd = |what: &str| format!("its list cannot be read: {what}");
    if raw.truncated {
        return Err(odd("a page is too long"));
    }
    let text = std::str::from_utf8(&raw.bytes).map_err(|_| odd("it is not UTF-8"))?;
    if !text.contains("<ListBucketResult") || text.contains("<!") {
        return Err(odd("it is no ListBucketResult"));
    }
    let encoded = one(text, "EncodingType") == Some("url");
    let objects: Option<Vec<Object>> = all(text, "Contents").into_iter().map(|o| object(o, encoded)).collect();
    let objects = objects.ok_or_else(|| odd("an object without key, size or time"))?;
    let told = one(text, "KeyCount").and_then(|n| n.parse::<usize>().ok());
    if told.is_some_and(|n| n != objects.len() + all(text, "CommonPrefixes").len()) {
        return Err(odd("it holds other than KeyCount says"));
    }
    match one(text, "IsTruncated") {
        Some("false") => Ok((objects, None)),
        Some("true") => {
            let token = one(text, "NextContinuationToken").ok_or_else(|| odd("no token for its next page"))?;
            Ok((objects, Some(plain(token).ok_or_else(|| odd("an entity"))?)))
        }
        _ => Err(odd("it does not say whether it is whole")),
    }
}

fn object(text: &str, encoded: bool) -> Option<Object> {
    let key = plain(one(text, "Key")?)?;
    Some(Object {
        // Where keys are encoded a space is a plus.
        key: if encoded { String::from_utf8(percent_decoded(&key.replace('+', " ")).ok()?).ok()? } else { key },
        bytes: one(text, "Size")?.trim().parse().ok()?,
        modified: plain(one(text, "LastModified")?)?,
    })
}

/// What stands inside each element of this name. A store's answers have no attributes there and do not nest.
fn all<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&open).skip(1).filter_map(|rest| rest.split_once(&close).map(|(inside, _)| inside)).collect()
}

fn one<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    all(text, name).first().copied()
}

/// The text without XML's entities, unless it holds one that is not known.
fn plain(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';')?;
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => match name.strip_prefix("#x") {
                Some(hex) => number(hex, 16)?,
                None => number(name.strip_prefix('#')?, 10)?,
            },
        });
        out.push_str(rest);
    }
    Some(out)
}

impl Raw {
    /// An error of a store, which is XML, as the JSON that figures quote from.
    pub(super) fn told(self) -> Raw {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let part = |name| one(&text, name).and_then(plain);
        let said = json!({"code": part("Code"), "message": part("Message")});
        Raw { json: Some(said), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        Raw { status: 200, bytes: text.as_bytes().to_vec(), truncated: false, json: None }
    }

    const PAGE: &str = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
        <Prefix/><EncodingType>url</EncodingType><KeyCount>2</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b</NextContinuationToken>\
        <Contents><Key>a%20b%26.gz</Key><LastModified>2026-11-22T00:00:00.000Z</LastModified><ETag>&quot;x&quot;</ETag><Size>7</Size></Contents>\
        <Contents><Key>c</Key><LastModified>t</LastModified><Size>0</Size></Contents></ListBucketResult>";

    #[test]
    fn a_page_is_read_whole_or_not_at_all() {
        let (objects, token) = page(&raw(PAGE)).unwrap();
        assert_eq!(objects.iter().map(|o| (o.key.as_str(), o.bytes)).collect::<Vec<_>>(), [("a b&.gz", 7), ("c", 0)]);
        assert_eq!(token.as_deref(), Some("a&b"));
        let broken = [
            ("<KeyCount>2", "<KeyCount>3"),
            ("<Size>0</Size>", ""),
            ("<IsTruncated>true</IsTruncated>", ""),
            ("<NextContinuationToken>a&amp;b</NextContinuationToken>", ""),
            ("ListBucketResult ", "html "),
            ("a%20b", "a%2"),
            ("a&amp;b", "a&what;b"),
        ];
        for (from, to) in broken {
            assert!(page(&raw(&PAGE.replace(from, to))).is_err(), "{from} -> {to}");
        }
        assert!(page(&Raw { truncated: true, ..raw(PAGE) }).is_err());
    }
}
