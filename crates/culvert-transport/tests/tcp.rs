//! TCP connections: framing, queues, closing.
#![allow(clippy::unwrap_used)]

use std::{io, sync::Arc, time::Duration};

use culvert_transport::{
    FrameBuffer, FrameReader, FrameWriter, OutQueue, OutQueueLimits, PushError, ReadOutcome, TcpListener,
    TcpOptions, TcpSocket,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(5);

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        timeout(Duration::from_secs(20), test)
            .await
            .expect("the test hangs")
    });
}

/// A connection accepted by us, and its other end.
async fn connect(limits: OutQueueLimits) -> (FrameReader, FrameWriter, Arc<OutQueue>, TcpStream) {
    let options = TcpOptions {
        send_buffer: Some(16 << 10),
        ..TcpOptions::default()
    };
    let socket = TcpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let mut listener = TcpListener::new(socket).unwrap();
    let (client, connection) = tokio::join!(TcpStream::connect(listener.local_addr()), listener.accept());
    let client = client.unwrap();
    assert_eq!(connection.link().remote, client.local_addr().unwrap());
    let queue = Arc::new(OutQueue::new(limits));
    let (reader, writer) = connection.split(2000, &queue);
    (reader, writer, queue, client)
}

async fn next(reader: &mut FrameReader, buffer: &mut FrameBuffer) -> io::Result<Vec<Vec<u8>>> {
    loop {
        timeout(PATIENCE, reader.ready())
            .await
            .expect("nothing to read")?;
        match reader.read(buffer)? {
            ReadOutcome::Frames(0) | ReadOutcome::WouldBlock => {}
            ReadOutcome::Frames(count) => {
                let frames: Vec<_> = buffer.frames_mut().map(|frame| frame.to_vec()).collect();
                assert_eq!(frames.len(), count);
                return Ok(frames);
            }
            ReadOutcome::Closed => return Ok(Vec::new()),
        }
    }
}

fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for frame in frames {
        wire.extend((frame.len() as u16).to_be_bytes());
        wire.extend(frame);
    }
    wire
}

fn some_frames() -> Vec<Vec<u8>> {
    (0..400usize)
        .map(|number| vec![number as u8; 1 + number * 37 % 2000])
        .collect()
}

#[test]
fn frames_are_whole_however_the_bytes_arrive() {
    run(async {
        for (piece, capacity) in [(1, 2002), (777, 10), (5000, 4096), (usize::MAX, 1 << 18)] {
            let (mut reader, _writer, _queue, client) = connect(OutQueueLimits::default()).await;
            let frames: Vec<_> = some_frames()
                .into_iter()
                .take(if piece == 1 { 9 } else { 400 })
                .collect();
            let wire = framed(&frames);
            let sender = tokio::spawn(async move {
                let (_read, mut write) = client.into_split();
                for part in wire.chunks(piece.min(wire.len())) {
                    write.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
            let mut buffer = FrameBuffer::with_capacity(capacity);
            let mut seen = Vec::new();
            while seen.len() < frames.len() {
                seen.extend(next(&mut reader, &mut buffer).await.unwrap());
            }
            assert!(seen == frames);
            sender.await.unwrap();
            assert!(
                next(&mut reader, &mut buffer).await.unwrap().is_empty(),
                "closed by the peer"
            );
        }
    });
}

#[test]
fn connections_of_a_worker_share_one_buffer() {
    run(async {
        let mut buffer = FrameBuffer::new();
        let mut ends = Vec::new();
        for number in 0..3u8 {
            let (reader, writer, _, mut client) = connect(OutQueueLimits::default()).await;
            client.write_all(&[0, 3, number]).await.unwrap();
            ends.push((reader, writer, client));
        }
        for (reader, ..) in &mut ends {
            timeout(PATIENCE, reader.ready()).await.unwrap().unwrap();
            assert_eq!(reader.read(&mut buffer).unwrap(), ReadOutcome::Frames(0));
        }
        for (number, (reader, _, client)) in ends.iter_mut().enumerate() {
            client.write_all(b"ab").await.unwrap();
            assert_eq!(
                next(reader, &mut buffer).await.unwrap(),
                [[number as u8, b'a', b'b']]
            );
            assert_eq!(reader.read(&mut buffer).unwrap(), ReadOutcome::WouldBlock);
        }
    });
}

#[test]
fn whole_frames_before_a_framing_error_are_delivered() {
    run(async {
        let (mut reader, _writer, _queue, mut client) = connect(OutQueueLimits::default()).await;
        client.write_all(b"\0\x02okGET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut buffer = FrameBuffer::new();
        assert_eq!(next(&mut reader, &mut buffer).await.unwrap(), [b"ok"]);
        for _ in 0..2 {
            let error = reader.read(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains("may not speak OpenVPN"), "{error}");
            assert!(buffer.is_empty());
        }
    });
}

#[test]
fn what_is_pushed_arrives_and_a_closed_queue_is_written_out() {
    run(async {
        let (reader, writer, queue, mut client) = connect(OutQueueLimits::default()).await;
        let writer = tokio::spawn(writer.run());
        let frames = some_frames();
        let collector = tokio::spawn(async move {
            let mut wire = Vec::new();
            client.read_to_end(&mut wire).await.unwrap();
            wire
        });
        for (number, frame) in frames.iter().enumerate() {
            while queue.push_data(frame).is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if number % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        queue.close();
        assert_eq!(queue.push_control(b"late"), Err(PushError::Closed));
        writer.await.unwrap().unwrap();
        assert!(collector.await.unwrap() == framed(&frames));
        assert_eq!(queue.stats().written, framed(&frames).len() as u64);
        timeout(PATIENCE, reader.ready()).await.unwrap().unwrap();
    });
}

#[test]
fn a_peer_that_does_not_read_fills_its_queue_and_nothing_else() {
    run(async {
        let limits = OutQueueLimits {
            bytes: 100_000,
            ..OutQueueLimits::default()
        };
        let (mut reader, writer, queue, client) = connect(limits).await;
        let writer = tokio::spawn(writer.run());
        let mut pushed = 0;
        let mut refused = 0;
        while refused < 100 {
            match queue.push_data(&[0; 1400]) {
                Ok(()) => pushed += 1,
                Err(error) => {
                    assert_eq!(error, PushError::Full);
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
        let stats = queue.stats();
        assert_eq!(stats.dropped, 100);
        assert!(stats.pending_bytes <= limits.bytes && stats.pending_bytes > limits.bytes - 2 * 1402);
        assert!(pushed > 71, "the kernel took some");
        queue.push_control(b"still possible").unwrap();
        queue.abort();
        timeout(PATIENCE, writer)
            .await
            .expect("abort ends a stuck write")
            .unwrap()
            .unwrap();
        timeout(PATIENCE, reader.ready())
            .await
            .expect("abort wakes the reader")
            .unwrap();
        assert_eq!(reader.read(&mut FrameBuffer::new()).unwrap(), ReadOutcome::Closed);
        drop(client);
    });
}

#[test]
fn a_connection_that_breaks_ends_its_queue() {
    run(async {
        let (mut reader, writer, queue, client) = connect(OutQueueLimits::default()).await;
        let writer = tokio::spawn(writer.run());
        socket2::SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client); // a reset
        let error = next(&mut reader, &mut FrameBuffer::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let pushing = async {
            while queue.push_data(b"x") != Err(PushError::Closed) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, pushing).await.unwrap();
        assert!(writer.await.unwrap().is_err());
        timeout(PATIENCE, queue.ended()).await.unwrap();
    });
}

#[test]
fn a_writer_that_is_dropped_ends_the_connection() {
    run(async {
        let (reader, writer, queue, mut client) = connect(OutQueueLimits::default()).await;
        drop(writer);
        assert!(!queue.is_open());
        timeout(PATIENCE, reader.ready()).await.unwrap().unwrap();
        assert_eq!(
            timeout(PATIENCE, client.read(&mut [0; 1]))
                .await
                .unwrap()
                .unwrap(),
            0
        );
    });
}

#[test]
fn accepted_connections_inherit_the_options_and_have_unique_ids() {
    run(async {
        let socket = TcpSocket::bind("[::1]:0".parse().unwrap(), &TcpOptions::default()).unwrap();
        let mut listener = TcpListener::new(socket).unwrap();
        let mut ids = Vec::new();
        for _ in 0..3 {
            let (client, connection) =
                tokio::join!(TcpStream::connect(listener.local_addr()), listener.accept());
            assert_eq!(
                connection.local_addr().unwrap(),
                client.unwrap().peer_addr().unwrap()
            );
            assert!(connection.nodelay().unwrap());
            ids.push(connection.link().id);
        }
        ids.dedup();
        assert_eq!(ids.len(), 3);
    });
}
