//! Who is dialled. Takes a base address; gives the addresses of its host, each checked, found once.
//! A look-up blocks a thread that cannot be taken back, so only a few run at a time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::HttpFault;

/// How the addresses of a host and port are found. It may block.
pub type Lookup = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

const PATIENCE: Duration = Duration::from_secs(2);
const AT_ONCE: usize = 8;

/// The machine's own way.
pub fn system() -> Lookup {
    Arc::new(|host, port| (host, port).to_socket_addrs().map(Iterator::collect))
}

/// Why there is no address to dial.
pub enum Closed {
    Refused(String),
    Failed(String),
}

impl Closed {
    /// The same for the caller, who knows the target's name.
    pub fn of(self, target: &str) -> HttpFault {
        match self {
            Closed::Refused(why) => HttpFault::Refused { why: format!("target {target}: {why}") },
            Closed::Failed(why) => HttpFault::NotSent { why: format!("target {target}: {why}") },
        }
    }
}

/// Finds and checks addresses.
pub struct Door {
    lookup: Lookup,
    room: Arc<Semaphore>,
}

impl Door {
    pub fn new(lookup: Lookup) -> Door {
        Door { lookup, room: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The addresses of the base's host. One that is not allowed closes the door for all: a name that
    /// points inside and outside at once is a trick or a mistake.
    pub async fn addresses(&self, base: &Url, private: bool, until: Instant) -> Result<Vec<SocketAddr>, Closed> {
        let port = base.port_or_known_default().ok_or_else(|| Closed::Refused("it has no port".to_owned()))?;
        let found = match base.host() {
            None => return Err(Closed::Refused("it has no host".to_owned())),
            Some(Host::Ipv4(ip)) => vec![SocketAddr::from((ip, port))],
            Some(Host::Ipv6(ip)) => vec![SocketAddr::from((ip, port))],
            Some(Host::Domain(name)) => self.find(name, port, until.min(Instant::now() + PATIENCE)).await?,
        };
        if found.is_empty() {
            return Err(Closed::Failed("its name has no address".to_owned()));
        }
        match found.iter().find_map(|a| forbidden(a.ip(), private).map(|what| (a.ip(), what))) {
            None => Ok(found),
            Some((ip, what)) => Err(Closed::Refused(format!("{ip} is {what}"))),
        }
    }

    async fn find(&self, name: &str, port: u16, until: Instant) -> Result<Vec<SocketAddr>, Closed> {
        let (lookup, room, host) = (self.lookup.clone(), self.room.clone(), name.to_owned());
        let asked = async move {
            let place = room.acquire_owned().await.map_err(io::Error::other)?;
            let found = tokio::task::spawn_blocking(move || {
                // Given back by the thread itself, so that a hanging look-up keeps its place.
                let _place = place;
                lookup(&host, port)
            });
            found.await.map_err(io::Error::other)?
        };
        match timeout_at(until, asked).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(e)) => Err(Closed::Failed(format!("its name could not be looked up: {e}"))),
            Err(_) => Err(Closed::Failed("its name was not found in time".to_owned())),
        }
    }
}

/// What is wrong with dialling an address, if anything. `private` lets in what a company's own network
/// uses; what can never be a service, or hands out credentials of the machine, stays out.
#[must_use]
pub fn forbidden(ip: IpAddr, private: bool) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => forbidden_v4(ip, private),
        IpAddr::V6(ip) => forbidden_v6(ip, private),
    }
}

fn forbidden_v4(ip: Ipv4Addr, private: bool) -> Option<&'static str> {
    let always = match ip.octets() {
        [169, 254, 169, 254] | [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => {
            Some("a metadata address")
        }
        [0, ..] => Some("unspecified"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    };
    let inside = match ip.octets() {
        [127, ..] => Some("this machine"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private address"),
        [100, 64..=127, ..] => Some("a carrier's private address"),
        [169, 254, ..] => Some("a link-local address"),
        [192, 0, 0 | 2, _] | [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => {
            Some("an address for special use")
        }
        _ => None,
    };
    always.or(inside.filter(|_| !private))
}

fn forbidden_v6(ip: Ipv6Addr, private: bool) -> Option<&'static str> {
    let words = ip.segments();
    let embedded = Ipv4Addr::from((u32::from(words[6]) << 16) | u32::from(words[7]));
    let always = match words {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Some("a metadata address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        _ => None,
    };
    let inside = match words {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("this machine"),
        // An IPv4 address in other clothes: dialled as such only where private ones are.
        [0, 0, 0, 0, 0, 0xffff, ..] => {
            return forbidden_v4(embedded, private).or((!private).then_some("an IPv4 address inside IPv6"));
        }
        // Networks without IPv4 reach it by this prefix, so what is behind it counts.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => return forbidden_v4(embedded, private),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0x2001, 0xdb8, ..] | [0x2001, 0..=0x1ff, ..] | [0x2002, ..] | [0x3fff, ..] => {
            Some("an address for special use")
        }
        [0x2000..=0x3fff, ..] => None,
        _ => Some("an address for special use"),
    };
    always.or(inside.filter(|_| !private))
}
