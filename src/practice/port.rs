//! Ports for what is started, killed and started again on one address. Gives a port that stays its owner's while
//! nobody listens on it.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// Below what Linux gives away by itself (`ip_local_port_range` begins at 32768), so that nobody's connection and
/// nobody's port 0 takes the address while its owner is down.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A TCP port of this machine. No other process is given it here until this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// A name in Linux's abstract namespace: one owner at a time, gone with the process, and no file.
    _claim: UnixListener,
}

impl Port {
    /// The number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// A TCP port of this machine that nobody uses now.
///
/// # Errors
/// All are taken.
pub fn free() -> Result<Port> {
    // Where a process begins depends on its id, so that those at the same time seldom meet.
    let begin = std::process::id().wrapping_mul(7919) % u32::from(COUNT);
    for _ in 0..COUNT {
        let turn = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let number = FIRST + u16::try_from((begin + turn) % u32::from(COUNT))?;
        let name = SocketAddr::from_abstract_name(format!("drbot/port/{number}"))?;
        if let (Ok(claim), Ok(_)) = (UnixListener::bind_addr(&name), TcpListener::bind(("127.0.0.1", number))) {
            return Ok(Port { number, _claim: claim });
        }
    }
    bail!("no free TCP port between {FIRST} and {}", FIRST + COUNT - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nobody_else_is_given_them() {
        let ports: Vec<Port> = (0..100).map(|_| free().expect("a port")).collect();
        let numbers: BTreeSet<u16> = ports.iter().map(Port::number).collect();
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux says it");
        let lowest: u16 = range.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number");
        assert!(numbers.len() == 100 && numbers.iter().all(|p| *p < lowest), "{numbers:?} below {lowest}");
        // Whoever begins at the same place passes over what is claimed.
        let first = *numbers.first().expect("a port");
        let name = format!("drbot/port/{first}");
        let again = || {
            let name = SocketAddr::from_abstract_name(&name).expect("a name");
            UnixListener::bind_addr(&name)
        };
        assert!(again().is_err(), "claimed");
        drop(ports);
        assert!(again().is_ok(), "given back");
    }
}
