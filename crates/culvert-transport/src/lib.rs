//! UDP and TCP packet transport of the OpenVPN protocol: batched datagram sockets and framed connections.
//!
//! This crate moves packets between the kernel and memory and knows nothing of what is in them. It is built
//! for few system calls per packet:
//!
//! - [`UdpSocket`] receives with `recvmmsg` into a [`RecvBatch`] (trains joined by `UDP_GRO` are cut into
//!   datagrams again) and sends with `sendmmsg` from a [`SendBatch`] (equal-sized datagrams to one path leave
//!   as one `UDP_SEGMENT` message). Where the kernel refuses an offload the same calls work without it.
//! - [`TcpListener`] accepts connections; each has a [`FrameReader`], which reads into a [`FrameBuffer`] shared
//!   by all connections of a worker, and a [`FrameWriter`], the only task that writes, fed by a bounded
//!   [`OutQueue`] any thread can push to.
//!
//! Sockets are created plain and registered with a runtime later ([`AsyncUdpSocket::new`],
//! [`TcpListener::new`]), because each worker thread has a runtime of its own.
//!
//! # One worker
//!
//! ```no_run
//! # use culvert_transport::{AsyncUdpSocket, RecvBatch, SendBatch, UdpOptions, UdpSocket};
//! # async fn worker() -> Result<(), Box<dyn std::error::Error>> {
//! let address = "[::]:443".parse()?;
//! let socket = AsyncUdpSocket::new(UdpSocket::bind(address, &UdpOptions::default())?)?;
//! let mut received = RecvBatch::new();
//! let mut replies = SendBatch::new(&socket);
//! loop {
//!     socket.recv(&mut received).await?;
//!     for (meta, datagram) in received.datagrams_mut() {
//!         let path = meta.path(0); // index of the listening address
//!         if let Some(slot) = replies.reserve(&path, datagram.len()) {
//!             slot.copy_from_slice(datagram);
//!             replies.commit(datagram.len());
//!         }
//!     }
//!     replies.flush(&socket)?;
//! }
//! # }
//! ```

mod address;
mod cmsg;
mod error;
mod sys;
mod tcp;
mod udp;

pub use error::{TransportError, probe_free};
pub use tcp::listener::{TcpConnection, TcpListener, TcpOptions, TcpSocket};
pub use tcp::queue::{OutQueue, OutQueueLimits, OutQueueStats, PushError};
pub use tcp::reader::{FrameBuffer, FrameReader, ReadOutcome};
pub use tcp::writer::FrameWriter;
pub use udp::recv::{Datagrams, RecvBatch, UdpMeta};
pub use udp::send::{SendBatch, SendReport};
pub use udp::socket::{AsyncUdpSocket, UdpOptions, UdpSocket};
