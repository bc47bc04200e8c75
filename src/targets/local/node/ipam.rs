//! Addresses for pods, assigned in turn from the whole network, so that an address is not reused
//! while anything may still remember it.

use std::{collections::HashSet, net::Ipv4Addr, sync::Mutex};

/// Hands out the addresses of one network.
pub(super) struct Ipam {
    first: u32,
    size: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u32,
    used: HashSet<Ipv4Addr>,
}

impl Ipam {
    /// Skips the first 256 addresses, which are reserved for the world (the node's own is among
    /// them), and the last one.
    pub fn new((network, prefix): (Ipv4Addr, u8)) -> Self {
        let hosts = 1u32.checked_shl(32 - u32::from(prefix)).unwrap_or(u32::MAX);
        let skip = 256.min(hosts / 2);
        let first = u32::from(network) + skip;
        Self {
            first,
            size: hosts - skip - 1,
            state: Mutex::default(),
        }
    }

    /// The next free address; `None` if all are in use.
    pub fn take(&self) -> Option<Ipv4Addr> {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for _ in 0..self.size {
            let offset = state.next;
            state.next = (offset + 1) % self.size;
            let address = Ipv4Addr::from(self.first + offset);
            if state.used.insert(address) {
                return Some(address);
            }
        }
        None
    }

    /// Releases an address.
    pub fn release(&self, address: Ipv4Addr) {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .used
            .remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_only_after_all_others() {
        let ipam = Ipam::new((Ipv4Addr::new(10, 0, 0, 0), 29)); // skips 4, leaves .4 .5 .6
        let first = ipam.take().unwrap();
        assert_eq!(first, Ipv4Addr::new(10, 0, 0, 4));
        ipam.release(first);
        assert_eq!(ipam.take(), Some(Ipv4Addr::new(10, 0, 0, 5)));
        assert_eq!(ipam.take(), Some(Ipv4Addr::new(10, 0, 0, 6)));
        assert_eq!(ipam.take(), Some(first));
        assert_eq!(ipam.take(), None);
    }
}
