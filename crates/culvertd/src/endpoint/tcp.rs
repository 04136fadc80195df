//! TCP connections of a worker: accepting, reading frames, and the time limits on silent and slow peers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use culvert_transport::{
    FrameBuffer, FrameReader, OutQueue, OutQueueLimits, ReadOutcome, TcpConnection, TcpListener,
};
use culvert_tun::JoinBatch;
use culvert_wire::LinkAddr;
use tokio::time::{Instant, timeout_at};

use super::tun;
use super::worker::{Disposition, Worker};

/// The longest packet on a TCP connection: a full data packet of the largest TUN MTU with room for every overhead.
const MAX_FRAME: usize = 9_000 + 512;

/// What all connections of a worker read into, one at a time.
pub(crate) struct Buffers {
    frames: FrameBuffer,
    join: JoinBatch,
}

impl Buffers {
    pub(crate) fn new(join: JoinBatch) -> Self {
        Self {
            frames: FrameBuffer::new(),
            join,
        }
    }
}

/// Accepts connections for as long as the worker lives.
pub(crate) async fn accept(worker: Rc<Worker>, mut listener: TcpListener, buffers: Rc<RefCell<Buffers>>) {
    loop {
        let connection = listener.accept().await;
        tokio::task::spawn_local(serve(Rc::clone(&worker), connection, Rc::clone(&buffers)));
    }
}

/// One connection from accept to close.
async fn serve(worker: Rc<Worker>, connection: TcpConnection, buffers: Rc<RefCell<Buffers>>) {
    let link = connection.link();
    let queue = Arc::new(OutQueue::new(OutQueueLimits::default()));
    let (reader, writer) = connection.split(MAX_FRAME, &queue);
    worker.shared.links.insert(link.id, Arc::clone(&queue));
    let writing = tokio::task::spawn_local(writer.run());
    let why = read_frames(&worker, reader, &buffers).await;
    tracing::debug!(endpoint = worker.shared.name, remote = %link.remote, why, "TCP connection closed");
    queue.close();
    // Errors of the last writes concern nobody any more.
    drop(writing.await);
    worker.shared.links.remove(link.id);
    worker.shared.inbox.closed(link).await;
}

/// Reads until the connection ends; returns why it did.
///
/// The limit here is on the first control packet. From then on the core watches the session: it ends handshakes that
/// take too long and clients that fall silent, and closes the queue, which ends this loop.
async fn read_frames(worker: &Worker, mut reader: FrameReader, buffers: &RefCell<Buffers>) -> &'static str {
    let deadline = Instant::now() + worker.shared.silence();
    let mut introduced = false;
    loop {
        let ready = if introduced {
            reader.ready().await
        } else {
            match timeout_at(deadline, reader.ready()).await {
                // A peer that sends a byte now and then is never silent: the clock counts.
                Ok(ready) if Instant::now() < deadline => ready,
                Ok(_) | Err(_) => return "no first packet came in time",
            }
        };
        if ready.is_err() {
            return "it can't be watched any more";
        }
        match read_ready(worker, &mut reader, buffers) {
            Ok(control) => introduced |= control,
            Err(why) => return why,
        }
    }
}

/// Handles the frames that are there; returns whether a control packet was among them.
fn read_ready(
    worker: &Worker,
    reader: &mut FrameReader,
    buffers: &RefCell<Buffers>,
) -> Result<bool, &'static str> {
    let link = reader.link();
    let Buffers { frames, join } = &mut *buffers.borrow_mut();
    match reader.read(frames) {
        Ok(ReadOutcome::Frames(frame_count)) => {
            let now_ms = worker.shared.now_ms();
            let mut joiner = join.start();
            let (mut control, mut broken, mut packets) = (false, false, 0);
            for packet in frames.frames_mut() {
                match worker.receive_from_link(now_ms, LinkAddr::Tcp(link), packet) {
                    Disposition::Control => control = true,
                    Disposition::Tun(ip) => {
                        joiner.push(ip);
                        packets += 1;
                    }
                    Disposition::EndStream => broken = true,
                    Disposition::Done => {}
                }
            }
            worker.moderation.handled(frame_count as u64);
            tun::write(worker, joiner, packets);
            worker.flush();
            if broken {
                Err("a data packet could not be opened")
            } else {
                Ok(control)
            }
        }
        Ok(ReadOutcome::WouldBlock) => Ok(false),
        Ok(ReadOutcome::Closed) => Err("the peer closed it, or the server did"),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err("the peer does not speak OpenVPN")
        }
        Err(_) => Err("it broke"),
    }
}

/// The milliseconds a connection may stay silent before its first packet: ten seconds, unless the handshake window is
/// shorter.
pub(crate) fn silence_ms(hand_window: Duration) -> u64 {
    u64::try_from(hand_window.as_millis())
        .unwrap_or(u64::MAX)
        .min(10_000)
}
