//! The TUN side of a worker: packets from the network to clients, and what happens when the device is deleted.

use std::rc::Rc;

use culvert_data::{DropReason, TOO_BIG_REPLY_MAX};
use culvert_tun::{AsyncTunQueue, Joiner, SuperBuf, TunError, TunQueue};
use tokio::sync::mpsc;

use super::shared::count;
use super::worker::Worker;

/// Super-packets handled before other tasks of the worker get a turn.
const BUDGET: usize = 64;

/// A queue and which making of the device it belongs to, counted from 1.
#[derive(Debug)]
pub(crate) struct NumberedQueue {
    pub(crate) generation: u64,
    pub(crate) queue: TunQueue,
}

/// Reads the queues of the TUN device, one after another: a new one comes when the device was made anew.
pub(crate) async fn read(
    worker: Rc<Worker>,
    mut queues: mpsc::Receiver<NumberedQueue>,
    gone: mpsc::Sender<u64>,
) {
    while let Some(NumberedQueue { generation, queue }) = queues.recv().await {
        let queue = match AsyncTunQueue::new(queue) {
            Ok(queue) => Rc::new(queue),
            Err(error) => {
                tracing::error!(endpoint = worker.shared.name, %error, "the TUN queue can't be watched");
                let _ = gone.send(generation).await;
                continue;
            }
        };
        worker.set_tun(Some(Rc::clone(&queue)));
        let error = read_queue(&worker, &queue).await;
        worker.set_tun(None);
        drop(queue);
        tracing::debug!(endpoint = worker.shared.name, %error, "the TUN queue ended");
        // Fails only when the endpoint is being taken down.
        let _ = gone.send(generation).await;
    }
}

/// Reads one queue until it fails.
async fn read_queue(worker: &Worker, queue: &AsyncTunQueue) -> TunError {
    let mut buffer = SuperBuf::new();
    loop {
        if let Err(error) = queue.recv_super(&mut buffer).await {
            return error;
        }
        let now_ms = worker.shared.now_ms();
        // Whatever was read is sent before the turn ends, or it would be lost.
        let mut spent = true;
        for turn in 1..=BUDGET {
            to_clients(worker, queue, now_ms, &mut buffer);
            if turn == BUDGET {
                break;
            }
            match queue.try_recv_super(&mut buffer) {
                Ok(true) => {}
                Ok(false) => {
                    spent = false;
                    break;
                }
                Err(error) => return error,
            }
        }
        worker.flush();
        if spent {
            tokio::task::yield_now().await;
        }
    }
}

/// Routes one super-packet and seals its segments.
fn to_clients(worker: &Worker, queue: &AsyncTunQueue, now_ms: u64, buffer: &mut SuperBuf) {
    let largest = buffer.largest_segment();
    let out = match worker
        .shared
        .data
        .route_segments(now_ms, buffer.packet_mut(), largest)
    {
        Ok(out) => out,
        Err(DropReason::TooBig) => return too_big(worker, queue, now_ms, buffer),
        // Counted by the data plane.
        Err(_) => return,
    };
    let mut segments = buffer.segments();
    worker.moderation.handled(segments.remaining() as u64);
    while let Some(segment) = segments.next() {
        worker.to_link(&out, &[segment.header, segment.payload]);
    }
}

/// Tells the sender of a packet that does not fit the client's tunnel.
fn too_big(worker: &Worker, queue: &AsyncTunQueue, now_ms: u64, buffer: &mut SuperBuf) {
    let mut answer = [0; TOO_BIG_REPLY_MAX];
    let length = worker
        .shared
        .data
        .too_big_reply(now_ms, buffer.packet_mut(), &mut answer);
    if let Some(answer) = length.and_then(|length| answer.get(..length)) {
        count(
            &worker.shared.drops.tun_error,
            u64::from(queue.send(answer).is_err()),
        );
    }
}

/// Writes what a batch brought for the network. Without a device the packets are dropped and counted.
pub(crate) fn write(worker: &Worker, joiner: Joiner<'_, '_>, packets: u64) {
    if joiner.is_empty() {
        return;
    }
    let drops = &worker.shared.drops;
    match worker.tun().map(|queue| joiner.flush(&queue)) {
        Some(Ok(report)) => {
            count(&drops.tun_full, report.dropped);
            count(&drops.superseded_ack, report.superseded);
        }
        // The reader of the queue sees the same error and reports it.
        Some(Err(_)) | None => count(&drops.tun_error, packets),
    }
}
