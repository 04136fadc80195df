//! Leases: who gets which index.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{Ipv4Network, Ipv6Network};

use crate::PoolError;
use crate::block::{Block, SERVER};
use crate::slots::{Slots, State};

/// What a pool hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// The client CIDR, /30 to /12, host bits zero. One of the two families must be there.
    pub v4: Option<Ipv4Network>,
    /// IPv6 prefix with at least as many addresses; a client's IPv6 address has the same index as its IPv4 one. Where it is
    /// alone, its first 131,072 addresses are used.
    pub v6: Option<Ipv6Network>,
    /// Give a returning identity the address it had last, when that is free.
    pub sticky: bool,
}

impl PoolConfig {
    /// How many clients there is room for; 0 when this can't be a pool.
    pub fn capacity(&self) -> u32 {
        Block::new(self.v4, self.v6).map_or(0, |block| block.capacity())
    }
}

/// A fixed address an operator assigned to an identity. With both given they must have the same index;
/// with none given the assignment is empty and the pool chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaticAddress {
    /// Wanted IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Wanted IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

/// The addresses of one connected client. Cannot be copied or made by hand, so it is returned exactly once.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The client's IPv4 address, when the endpoint has an IPv4 block.
    pub v4: Option<Ipv4Addr>,
    /// The client's IPv6 address, when the endpoint has an IPv6 prefix.
    pub v6: Option<Ipv6Addr>,
    /// Offset of both addresses from the start of their block.
    pub index: u32,
}

/// The address pool of one endpoint. See the crate documentation.
///
/// Order of choice for a client without a static address: the address its identity had last, if sticky and
/// free; an address nobody ever had; the address released longest ago. So a returning identity finds its old
/// address for as long as the block allows.
#[derive(Debug)]
pub struct Pool {
    block: Block,
    slots: Slots,
    /// Every index below it has been handed out, reserved or skipped. Only grows.
    next_fresh: u32,
    in_use: u32,
    sticky: Option<Sticky>,
}

/// Last index of an identity, by hash: a hint, so a collision costs nothing but the preference. At most one
/// entry per index, because an entry leaves when its index goes to someone else.
type Sticky = HashMap<u64, u32, BuildHasherDefault<DefaultHasher>>;

impl Pool {
    /// Builds an empty pool; takes a few kilobytes at any size.
    ///
    /// # Errors
    /// [`PoolError::NoBlock`], [`PoolError::SizeOutOfRange`], [`PoolError::HostBitsSet`], [`PoolError::HostBitsSetV6`],
    /// [`PoolError::V6TooSmall`] or [`PoolError::LoneV6TooSmall`] when the blocks cannot be a pool.
    pub fn new(config: PoolConfig) -> Result<Self, PoolError> {
        let block = Block::new(config.v4, config.v6)?;
        Ok(Self {
            slots: Slots::new(block.size()),
            next_fresh: block.first(),
            block,
            in_use: 0,
            sticky: config.sticky.then(Sticky::default),
        })
    }

    /// The server's own IPv4 address: the first host of the block.
    pub fn server_v4(&self) -> Option<Ipv4Addr> {
        self.block.v4(SERVER)
    }

    /// The server's own IPv6 address: the first host of the prefix.
    pub fn server_v6(&self) -> Option<Ipv6Addr> {
        self.block.v6(SERVER)
    }

    /// How many clients the block has room for, reserved addresses included.
    pub fn capacity(&self) -> u32 {
        self.block.capacity()
    }

    /// How many addresses are leased now.
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// The index of an address of either family, network, server and broadcast included; `None` outside.
    pub fn index_of(&self, address: IpAddr) -> Option<u32> {
        self.block.index_of(address)
    }

    /// Leases an address to an identity: the wanted static one, or the best free one.
    ///
    /// # Errors
    /// [`PoolError::Exhausted`] when nothing is free; with a static address [`PoolError::AddressInUse`],
    /// [`PoolError::OutsideRange`], [`PoolError::NotAssignable`], [`PoolError::NoV6`] or
    /// [`PoolError::Mismatch`].
    pub fn allocate(&mut self, identity: &str, wanted: Option<StaticAddress>) -> Result<Lease, PoolError> {
        if let Some(index) = wanted.map(|wanted| self.resolve(wanted)).transpose()?.flatten() {
            return self.take_static(index);
        }
        let owner = hash(identity);
        let index = self
            .take_remembered(owner)
            .or_else(|| self.take_fresh())
            .or_else(|| self.take_oldest())
            .ok_or_else(|| PoolError::Exhausted {
                capacity: self.capacity(),
            })?;
        self.remember(owner, index);
        Ok(self.lease(index))
    }

    /// Takes an address back. A lease of another pool is ignored.
    pub fn release(&mut self, lease: Lease) {
        let index = lease.index;
        if !self.block.is_assignable(index)
            || (self.block.v4(index), self.block.v6(index)) != (lease.v4, lease.v6)
        {
            return;
        }
        match self.slots.state(index) {
            State::InUse => self.slots.push_released(index),
            State::ReservedInUse => self.slots.set_state(index, State::Reserved),
            State::Fresh | State::Released | State::Reserved => return,
        }
        self.in_use -= 1;
    }

    /// Keeps an address from being given to anyone who does not ask for it by name. Reserving an address
    /// twice, or one in use, is fine: its present holder keeps it until release.
    ///
    /// # Errors
    /// [`PoolError::OutsideRange`], [`PoolError::NotAssignable`], [`PoolError::NoV6`] or
    /// [`PoolError::Mismatch`] as for [`Pool::allocate`].
    pub fn reserve_static(&mut self, address: StaticAddress) -> Result<(), PoolError> {
        let Some(index) = self.resolve(address)? else {
            return Ok(());
        };
        match self.slots.state(index) {
            State::Fresh => self.slots.set_state(index, State::Reserved),
            State::Released => self.slots.take_released(index, State::Reserved),
            State::InUse => self.slots.set_state(index, State::ReservedInUse),
            State::Reserved | State::ReservedInUse => return Ok(()),
        }
        self.forget(index);
        Ok(())
    }

    /// Returns a reserved address to general use, at once or when its holder leaves.
    ///
    /// # Errors
    /// As for [`Pool::reserve_static`].
    pub fn unreserve_static(&mut self, address: StaticAddress) -> Result<(), PoolError> {
        match self.resolve(address)? {
            Some(index) if self.slots.state(index) == State::Reserved => self.slots.push_released(index),
            Some(index) if self.slots.state(index) == State::ReservedInUse => {
                self.slots.set_state(index, State::InUse);
            }
            _ => {}
        }
        Ok(())
    }

    /// The index a static assignment names; `None` when it names nothing.
    fn resolve(&self, wanted: StaticAddress) -> Result<Option<u32>, PoolError> {
        let address: IpAddr = match (wanted.v4, wanted.v6) {
            (None, None) => return Ok(None),
            (_, Some(v6)) if self.block.network_of(v6.into()).is_none() => return Err(PoolError::NoV6(v6)),
            (Some(v4), _) if self.block.network_of(v4.into()).is_none() => return Err(PoolError::NoV4(v4)),
            (Some(v4), _) => v4.into(),
            (None, Some(v6)) => v6.into(),
        };
        let index = self.block.index_of(address).ok_or_else(|| {
            // There is a block of its family, as was just seen.
            let block = self.block.network_of(address).unwrap_or_else(|| address.into());
            PoolError::OutsideRange { address, block }
        })?;
        if !self.block.is_assignable(index) {
            return Err(PoolError::NotAssignable(address));
        }
        match (wanted.v4, wanted.v6, self.block.v6(index)) {
            (Some(v4), Some(wanted), Some(expected)) if wanted != expected => {
                Err(PoolError::Mismatch { v4, wanted, expected })
            }
            _ => Ok(Some(index)),
        }
    }

    fn take_static(&mut self, index: u32) -> Result<Lease, PoolError> {
        match self.slots.state(index) {
            State::Fresh => self.slots.set_state(index, State::InUse),
            State::Released => self.slots.take_released(index, State::InUse),
            State::Reserved => self.slots.set_state(index, State::ReservedInUse),
            State::InUse | State::ReservedInUse => {
                return Err(PoolError::AddressInUse(self.block.address(index)));
            }
        }
        self.forget(index);
        Ok(self.lease(index))
    }

    fn take_remembered(&mut self, owner: u64) -> Option<u32> {
        let index = *self.sticky.as_ref()?.get(&owner)?;
        (self.slots.state(index) == State::Released).then(|| {
            self.slots.take_released(index, State::InUse);
            index
        })
    }

    /// Constant time on average: an index that was taken by name before its turn is skipped once, ever.
    fn take_fresh(&mut self) -> Option<u32> {
        while self.next_fresh <= self.block.last() {
            let index = self.next_fresh;
            self.next_fresh += 1;
            if self.slots.state(index) == State::Fresh {
                self.slots.set_state(index, State::InUse);
                return Some(index);
            }
        }
        None
    }

    fn take_oldest(&mut self) -> Option<u32> {
        let index = self.slots.oldest()?;
        self.slots.take_released(index, State::InUse);
        Some(index)
    }

    /// Notes who has an index now. A second device of one identity does not displace the first one's hint.
    fn remember(&mut self, owner: u64, index: u32) {
        if self.sticky.is_some() && self.slots.owner(index) != owner {
            self.forget(index);
            self.slots.set_owner(index, owner);
        }
        if let Some(sticky) = &mut self.sticky {
            sticky.entry(owner).or_insert(index);
        }
    }

    /// Drops the hint that leads to an index.
    fn forget(&mut self, index: u32) {
        let owner = self.slots.owner(index);
        if let Some(sticky) = &mut self.sticky
            && owner != 0
        {
            if sticky.get(&owner) == Some(&index) {
                sticky.remove(&owner);
            }
            self.slots.set_owner(index, 0);
        }
    }

    fn lease(&mut self, index: u32) -> Lease {
        self.in_use += 1;
        Lease {
            v4: self.block.v4(index),
            v6: self.block.v6(index),
            index,
        }
    }
}

/// A non-zero hash that is the same in every process, so that a replayed history gives the same addresses.
fn hash(identity: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(v4: &str, v6: Option<&str>, sticky: bool) -> Pool {
        let v6 = v6.map(|v6| v6.parse().unwrap());
        Pool::new(PoolConfig {
            v4: v4.parse().ok(),
            v6,
            sticky,
        })
        .unwrap()
    }

    fn v4(text: &str) -> Option<StaticAddress> {
        Some(StaticAddress {
            v4: Some(text.parse().unwrap()),
            v6: None,
        })
    }

    #[test]
    fn the_smallest_pool_serves_exactly_one_client() {
        let mut pool = pool("192.0.2.4/30", None, true);
        assert_eq!(pool.server_v4().unwrap().to_string(), "192.0.2.5");
        let lease = pool.allocate("a", None).unwrap();
        assert_eq!(
            (lease.v4.unwrap().to_string().as_str(), lease.index),
            ("192.0.2.6", 2)
        );
        assert_eq!(
            pool.allocate("b", None),
            Err(PoolError::Exhausted { capacity: 1 })
        );
        pool.release(lease);
        assert_eq!(pool.in_use(), 0);
        assert_eq!(pool.allocate("b", None).unwrap().index, 2);
    }

    #[test]
    fn the_largest_pool_hands_out_every_address_once_and_starts_small() {
        let mut pool = pool("10.16.0.0/12", None, true);
        assert_eq!(pool.capacity(), 1_048_573);
        assert!(
            pool.slots.allocated_bytes() < 20_000,
            "{}",
            pool.slots.allocated_bytes()
        );
        let mut seen = vec![false; 1 << 20];
        for _ in 0..pool.capacity() {
            let lease = pool.allocate("one identity with many devices", None).unwrap();
            assert!(!std::mem::replace(&mut seen[lease.index as usize], true));
        }
        assert!(pool.allocate("late", None).is_err());
        assert_eq!((seen[0], seen[1], seen[(1 << 20) - 1]), (false, false, false));
    }

    #[test]
    fn ipv6_runs_parallel_by_index() {
        let mut pool = pool("10.8.0.0/22", Some("fd00:1::/64"), true);
        assert_eq!(pool.server_v6().unwrap().to_string(), "fd00:1::1");
        let lease = pool.allocate("a", v4("10.8.1.0")).unwrap();
        assert_eq!(lease.v6.unwrap().to_string(), "fd00:1::100");
        assert_eq!(pool.index_of("fd00:1::100".parse().unwrap()), Some(256));
        assert_eq!(pool.index_of("fd00:1::400".parse().unwrap()), None);
        assert_eq!(pool.index_of("10.8.3.255".parse().unwrap()), Some(1023));
        assert_eq!(pool.index_of("10.8.4.0".parse().unwrap()), None);
        assert_eq!(pool.index_of("10.7.255.255".parse().unwrap()), None);
    }

    #[test]
    fn an_ipv6_prefix_alone_is_a_pool_of_its_first_addresses() {
        let config = |v6: &str| PoolConfig {
            v4: None,
            v6: v6.parse().ok(),
            sticky: true,
        };
        let mut pool = Pool::new(config("fd00:1::/64")).unwrap();
        assert_eq!(
            (pool.capacity(), config("fd00:1::/64").capacity()),
            (131_069, 131_069)
        );
        assert_eq!(
            (pool.server_v4(), pool.index_of("10.8.0.2".parse().unwrap())),
            (None, None)
        );
        let lease = pool.allocate("a", None).unwrap();
        assert_eq!(
            (lease.v4, lease.v6.unwrap().to_string().as_str()),
            (None, "fd00:1::2")
        );
        pool.release(lease);
        assert_eq!(pool.in_use(), 0);
        let needs_v4 = pool.allocate("a", v4("10.8.0.5"));
        assert_eq!(needs_v4, Err(PoolError::NoV4("10.8.0.5".parse().unwrap())));
        let own = StaticAddress {
            v4: None,
            v6: "fd00:1::2".parse().ok(),
        };
        let held = pool.allocate("a", Some(own)).unwrap();
        let again = pool.allocate("b", Some(own));
        assert_eq!(again, Err(PoolError::AddressInUse(held.v6.unwrap().into())));
        assert_eq!(Pool::new(config("fd00:1::4/126")).unwrap().capacity(), 1);
        assert!(matches!(
            Pool::new(config("fd00:1::/127")),
            Err(PoolError::LoneV6TooSmall { .. })
        ));
        let nothing = PoolConfig {
            v4: None,
            v6: None,
            sticky: true,
        };
        assert!(matches!(Pool::new(nothing), Err(PoolError::NoBlock)));
    }

    #[test]
    fn a_returning_identity_gets_its_old_address_while_others_come_and_go() {
        let mut pool = pool("10.8.0.0/24", None, true);
        let ana = pool.allocate("ana", None).unwrap();
        let address = ana.v4;
        pool.release(ana);
        for n in 0..200 {
            let lease = pool.allocate(&format!("guest {n}"), None).unwrap();
            assert_ne!(lease.v4, address);
            pool.release(lease);
        }
        assert_eq!(pool.allocate("ana", None).unwrap().v4, address);
    }

    #[test]
    fn a_full_pool_reuses_the_address_released_longest_ago() {
        let mut pool = pool("10.8.0.0/29", None, true);
        let mut leases: Vec<_> = (0..5)
            .map(|n| pool.allocate(&format!("{n}"), None).unwrap())
            .collect();
        let (third, first) = (leases.remove(2), leases.remove(0));
        let (third_index, first_index) = (third.index, first.index);
        pool.release(third);
        pool.release(first);
        assert_eq!(pool.allocate("x", None).unwrap().index, third_index);
        assert_eq!(pool.allocate("y", None).unwrap().index, first_index);
        assert!(pool.allocate("z", None).is_err());
    }

    #[test]
    fn a_second_device_gets_another_address_and_the_first_keeps_its_claim() {
        let mut pool = pool("10.8.0.0/24", None, true);
        let laptop = pool.allocate("ana", None).unwrap();
        let phone = pool.allocate("ana", None).unwrap();
        assert_ne!(laptop.index, phone.index);
        let index = laptop.index;
        pool.release(phone);
        pool.release(laptop);
        assert_eq!(pool.allocate("ana", None).unwrap().index, index);
    }

    #[test]
    fn without_stickiness_nothing_is_remembered() {
        let mut pool = pool("10.8.0.0/24", None, false);
        let lease = pool.allocate("ana", None).unwrap();
        let index = lease.index;
        pool.release(lease);
        assert_ne!(pool.allocate("ana", None).unwrap().index, index);
    }

    #[test]
    fn reserved_addresses_go_only_to_those_who_ask_by_name() {
        let mut pool = pool("10.8.0.0/29", None, true);
        pool.reserve_static(v4("10.8.0.3").unwrap()).unwrap();
        for n in 0..4 {
            assert_ne!(
                pool.allocate(&format!("{n}"), None)
                    .unwrap()
                    .v4
                    .unwrap()
                    .to_string(),
                "10.8.0.3"
            );
        }
        assert!(pool.allocate("guest", None).is_err());
        let printer = pool.allocate("printer", v4("10.8.0.3")).unwrap();
        let again = pool.allocate("printer", v4("10.8.0.3"));
        assert_eq!(again, Err(PoolError::AddressInUse("10.8.0.3".parse().unwrap())));
        pool.release(printer);
        assert!(pool.allocate("guest", None).is_err());
        pool.unreserve_static(v4("10.8.0.3").unwrap()).unwrap();
        assert!(pool.allocate("guest", None).is_ok());
    }

    #[test]
    fn impossible_static_addresses_are_refused_with_the_reason() {
        let mut pool4 = pool("10.8.0.0/24", None, true);
        let refused = |result: Result<Lease, PoolError>| result.unwrap_err().to_string();
        assert!(refused(pool4.allocate("a", v4("10.9.0.3"))).contains("outside the client CIDR 10.8.0.0/24"));
        assert!(refused(pool4.allocate("a", v4("10.8.0.1"))).contains("server"));
        assert!(refused(pool4.allocate("a", v4("10.8.0.255"))).contains("broadcast"));
        let v6 = Some(StaticAddress {
            v4: None,
            v6: Some("fd00::5".parse().unwrap()),
        });
        assert!(refused(pool4.allocate("a", v6)).contains("no client IPv6 CIDR"));
        let mut pool6 = pool("10.8.0.0/24", Some("fd00::/64"), true);
        assert_eq!(
            pool6.allocate("a", v6).unwrap().v4.unwrap().to_string(),
            "10.8.0.5"
        );
        let both = StaticAddress {
            v4: Some("10.8.0.9".parse().unwrap()),
            v6: Some("fd00::7".parse().unwrap()),
        };
        assert!(refused(pool6.allocate("a", Some(both))).contains("10.8.0.9 goes with fd00::9"));
        assert_eq!(pool6.in_use(), 1);
    }

    #[test]
    fn blocks_that_cannot_be_pools_are_refused() {
        let new = |v4: &str, v6: Option<&str>| {
            let v6 = v6.map(|v6| v6.parse().unwrap());
            Pool::new(PoolConfig {
                v4: v4.parse().ok(),
                v6,
                sticky: true,
            })
            .map(|_| ())
        };
        assert!(matches!(
            new("10.0.0.0/11", None),
            Err(PoolError::SizeOutOfRange { .. })
        ));
        assert!(matches!(
            new("10.0.0.0/31", None),
            Err(PoolError::SizeOutOfRange { .. })
        ));
        let host_bits = new("10.0.0.9/22", None).unwrap_err().to_string();
        assert!(host_bits.contains("write 10.0.0.0/22 instead"), "{host_bits}");
        assert!(matches!(
            new("10.0.0.0/22", Some("fd00::1/64")),
            Err(PoolError::HostBitsSetV6 { .. })
        ));
        let small = new("10.0.0.0/22", Some("fd00::/119")).unwrap_err().to_string();
        assert!(small.contains("/118 or shorter"), "{small}");
        assert!(new("10.0.0.0/22", Some("fd00::/118")).is_ok());
    }

    #[test]
    fn a_lease_of_another_pool_changes_nothing() {
        let (mut one, mut other) = (pool("10.8.0.0/24", None, true), pool("10.9.0.0/24", None, true));
        let (_kept, foreign) = (
            one.allocate("a", None).unwrap(),
            other.allocate("a", None).unwrap(),
        );
        one.release(foreign);
        assert_eq!(one.in_use(), 1);
    }

    mod model {
        use std::collections::BTreeMap;

        use proptest::prelude::*;

        use super::*;

        #[derive(Clone, Debug)]
        enum Op {
            Allocate(u8),
            Static(u8),
            Release(usize),
            Reserve(u8),
            Unreserve(u8),
        }

        fn op() -> impl Strategy<Value = Op> {
            prop_oneof![
                4 => (0..20_u8).prop_map(Op::Allocate),
                1 => (0..16_u8).prop_map(Op::Static),
                4 => any::<usize>().prop_map(Op::Release),
                1 => (0..16_u8).prop_map(Op::Reserve),
                1 => (0..16_u8).prop_map(Op::Unreserve),
            ]
        }

        fn address(last: u8) -> StaticAddress {
            StaticAddress {
                v4: Some(Ipv4Addr::new(10, 8, 0, last)),
                v6: None,
            }
        }

        proptest! {
            #[test]
            fn no_history_hands_an_address_out_twice_or_loses_one(ops in prop::collection::vec(op(), 0..300)) {
                let mut pool = pool("10.8.0.0/28", None, true);
                let mut held: BTreeMap<u32, Lease> = BTreeMap::new();
                let mut reserved = [false; 16];
                for op in ops {
                    match op {
                        Op::Allocate(who) => match pool.allocate(&who.to_string(), None) {
                            Ok(lease) => {
                                prop_assert!((2..=14).contains(&lease.index));
                                prop_assert!(!reserved[lease.index as usize]);
                                prop_assert!(held.insert(lease.index, lease).is_none());
                            }
                            Err(error) => {
                                prop_assert_eq!(error, PoolError::Exhausted { capacity: 13 });
                                let free = (2..=14_u32)
                                    .filter(|i| !held.contains_key(i) && !reserved[*i as usize]);
                                prop_assert_eq!(free.count(), 0);
                            }
                        },
                        Op::Static(last) => match pool.allocate("static", Some(address(last))) {
                            Ok(lease) => prop_assert!(held.insert(lease.index, lease).is_none()),
                            Err(PoolError::AddressInUse(_)) => {
                                prop_assert!(held.contains_key(&u32::from(last)));
                            }
                            Err(_) => prop_assert!([0, 1, 15].contains(&last)),
                        },
                        Op::Release(nth) => {
                            if let Some(index) = held.keys().nth(nth % held.len().max(1)).copied() {
                                pool.release(held.remove(&index).unwrap());
                            }
                        }
                        Op::Reserve(last) => {
                            if pool.reserve_static(address(last)).is_ok() {
                                reserved[usize::from(last)] = true;
                            }
                        }
                        Op::Unreserve(last) => {
                            if pool.unreserve_static(address(last)).is_ok() {
                                reserved[usize::from(last)] = false;
                            }
                        }
                    }
                    prop_assert_eq!(pool.in_use() as usize, held.len());
                    prop_assert!(pool.sticky.as_ref().unwrap().len() <= 13);
                }
            }
        }
    }
}
