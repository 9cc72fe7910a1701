//! Where a call goes. Takes a target's base and a path; gives one address that is certainly below the
//! base, or refuses. What is not understood the same way everywhere is refused, not repaired.

use url::Url;

/// Longest path with its query.
const LONGEST: usize = 8 * 1024;

/// The address of `path` below `base`.
///
/// # Errors
/// Says what about the base or the path is not allowed.
pub fn below(base: &Url, path: &str) -> Result<Url, String> {
    fit(base)?;
    if path.len() > LONGEST {
        return Err(format!("the path is longer than {LONGEST} bytes"));
    }
    if !path.starts_with('/') {
        return Err("the path must begin with /".to_owned());
    }
    if let Some(odd) = path.chars().find(|c| !c.is_ascii_graphic() || "\\#\"<>^`{|}".contains(*c)) {
        return Err(format!("the path holds `{}`: encode it", odd.escape_default()));
    }
    let (way, query) = path.split_once('?').map_or((path, None), |(way, query)| (way, Some(query)));
    let pieces: Vec<&str> = way[1..].split('/').collect();
    for (i, piece) in pieces.iter().enumerate() {
        plain(piece, i + 1 == pieces.len())?;
    }
    if query.is_some_and(|q| decoded(q).is_none()) {
        return Err("the query holds a % that encodes nothing".to_owned());
    }
    let joined = format!("{}{way}", base.path().trim_end_matches('/'));
    let mut url = base.clone();
    url.set_path(&joined);
    url.set_query(query);
    // Whatever the rules above overlook: the address must say what was written, byte for byte.
    let same = url.origin() == base.origin() && url.path() == joined && url.query() == query;
    if same { Ok(url) } else { Err("the path does not stay as it is written: encode it".to_owned()) }
}

fn fit(base: &Url) -> Result<(), String> {
    let wrong = match () {
        () if !matches!(base.scheme(), "http" | "https") => "is neither http nor https",
        () if base.host_str().is_none_or(str::is_empty) => "has no host",
        () if !base.username().is_empty() || base.password().is_some() => "holds a user: use headers",
        () if base.query().is_some() || base.fragment().is_some() => "has a query or a fragment",
        () => return Ok(()),
    };
    Err(format!("its base address {wrong}"))
}

/// One piece between slashes: not empty unless it is the last, and no step to a parent or hidden
/// slash, however often it is encoded.
fn plain(piece: &str, last: bool) -> Result<(), String> {
    if piece.is_empty() {
        return if last { Ok(()) } else { Err("the path holds two slashes in a row".to_owned()) };
    }
    let mut text = piece.as_bytes().to_vec();
    loop {
        let name = text.split(|b| *b == b';').next().unwrap_or_default();
        if matches!(name, b"." | b"..") {
            return Err("the path holds a step to a parent".to_owned());
        }
        if text.iter().any(|b| matches!(b, b'/' | b'\\') || b.is_ascii_control()) {
            return Err("the path holds an encoded slash or control character".to_owned());
        }
        let Some(next) = std::str::from_utf8(&text).ok().and_then(decoded) else {
            // What was written must be well formed; what it stands for may hold any sign.
            return if text == piece.as_bytes() {
                Err("the path holds a % that encodes nothing".to_owned())
            } else {
                Ok(())
            };
        };
        if next == text {
            return Ok(());
        }
        text = next;
    }
}

/// The text with `%XX` replaced once, unless some `%` is not followed by two hex digits.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        if bytes[i] == b'%' {
            let pair = bytes.get(i + 1..i + 3)?;
            out.extend(hex::decode(pair).ok()?);
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    Some(out)
}
