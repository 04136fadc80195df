//! Client address pool: one IPv4 block and, in parallel, one IPv6 prefix per endpoint.
//!
//! An address is an *index*: its offset from the start of the client CIDR. The same index gives the IPv6
//! address in the parallel prefix, so one number names a client's place in every table of the endpoint.
//! Index 0 is the network address, 1 the server, the last one the broadcast address; clients get the rest.
//!
//! Allocation and release take constant time at any size from /30 to /12 (1,048,576 addresses). Memory is
//! allocated in blocks as indices are first used: an idle /12 costs a few kilobytes. No clock, no sockets.
//!
//! ```
//! # use culvert_pool::{Pool, PoolConfig};
//! let config = PoolConfig { v4: "10.8.0.0/22".parse().ok(), v6: None, sticky: true };
//! let mut pool = Pool::new(config).unwrap();
//! let lease = pool.allocate("ana", None).unwrap();
//! assert_eq!(lease.v4.unwrap().to_string(), "10.8.0.2");
//! pool.release(lease);
//! assert_eq!(pool.allocate("ana", None).unwrap().v4.unwrap().to_string(), "10.8.0.2");
//! ```

#![forbid(unsafe_code)]

mod block;
mod error;
mod pool;
mod slots;

pub use block::{LARGEST_PREFIX, SMALLEST_PREFIX};
pub use error::PoolError;
pub use pool::{Lease, Pool, PoolConfig, StaticAddress};
