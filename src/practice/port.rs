//! Ports for what is started, killed and started again on one address.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// Below what Linux gives away by itself (`ip_local_port_range` begins at 32768), so that nobody's connection and
/// nobody's port 0 takes the address while its owner is down.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A TCP port of this machine that nobody uses now; never the same twice in one process.
///
/// # Errors
/// All are taken.
pub fn free() -> Result<u16> {
    // Where a process begins depends on its id, so that those at the same time do not try the same ones.
    let begin = std::process::id().wrapping_mul(7919) % u32::from(COUNT);
    for _ in 0..COUNT {
        let turn = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from((begin + turn) % u32::from(COUNT))?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free TCP port between {FIRST} and {}", FIRST + COUNT - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::free;

    #[test]
    fn nobody_is_given_them_by_the_system() {
        let ports: BTreeSet<u16> = (0..100).map(|_| free().expect("a port")).collect();
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux says it");
        let lowest: u16 = range.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number");
        assert!(ports.len() == 100 && ports.iter().all(|p| *p < lowest), "{ports:?} below {lowest}");
    }
}
