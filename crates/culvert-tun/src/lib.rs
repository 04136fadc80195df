//! The TUN bridge: a multi-queue TUN device with its addresses, routes and NAT.
//!
//! - [`TunDevice`] creates the device and gives one [`TunQueue`] to each worker, which registers it with its
//!   own runtime ([`AsyncTunQueue`]). Many packets cross with one system call: a read brings a *super-packet*
//!   of up to 64 KiB into a [`SuperBuf`], from which the caller takes wire-sized segments without a copy, and
//!   a [`JoinBatch`] writes consecutive segments of a TCP flow as one. Where the kernel refuses the offload
//!   the same calls move single packets.
//! - [`netlink`] sets addresses, MTU and routes; [`firewall`] owns one nftables table per device; [`forwarding`]
//!   tells what keeps the machine from forwarding.
//!
//! # One worker
//!
//! ```no_run
//! # use culvert_tun::{AsyncTunQueue, JoinBatch, SuperBuf, TunDevice, TunError, TunOptions};
//! # async fn worker(received: Vec<Vec<u8>>) -> Result<(), TunError> {
//! let mut device = TunDevice::create(&TunOptions::new("cvpn0")).await?;
//! let queue = AsyncTunQueue::new(device.take_queues().remove(0))?;
//! let (mut buffer, mut join) = (SuperBuf::new(), JoinBatch::new());
//!
//! // TUN to link: decide once for the super-packet, then seal segment by segment.
//! queue.recv_super(&mut buffer).await?;
//! let (largest, packet) = (buffer.largest_segment(), buffer.packet_mut()); // routed, filtered, MSS clamped here
//! let mut segments = buffer.segments();
//! while let Some(segment) = segments.next() {
//!     // seal_into(&[segment.header, segment.payload], slot of the send batch)
//! }
//!
//! // Link to TUN: packets stay where they were opened; one write per joined run.
//! let mut joiner = join.start();
//! for packet in &received {
//!     joiner.push(packet);
//! }
//! let report = joiner.flush(&queue)?;
//! # Ok(())
//! # }
//! ```

pub mod firewall;
pub mod forwarding;

pub mod netlink;

#[cfg(feature = "testing")]
pub mod testing;

mod device;
mod error;
mod offload;
mod open;
mod queue;

pub use device::{TunDevice, TunOffloads, TunOptions};
pub use error::TunError;
pub use offload::{
    join::{JoinBatch, Joiner, WriteReport},
    split::{Segment, Segments, SuperBuf},
};
pub use queue::{AsyncTunQueue, TunQueue};
