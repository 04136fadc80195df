//! `pump`: the end of TCP connections behind the server: takes bytes and tells how many they were, or gives bytes.
//!
//! The first byte of a connection says which. After the bytes that were taken, their number goes back, 8 bytes, network
//! order, so that the sender knows what arrived and when.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::Stopwatch;
use crate::report::{Outcome, Report};
use crate::stop::Stop;

/// First byte of a connection whose bytes are taken.
pub(crate) const TAKE: u8 = b'u';
/// First byte of a connection that is given bytes.
pub(crate) const GIVE: u8 = b'd';
/// What is read and written at once.
pub(crate) const CHUNK: usize = 256 << 10;

/// Serves connections until told to stop.
///
/// # Errors
/// When the address can't be listened on, or nobody listens to the result.
pub(crate) async fn run(listen: SocketAddr) -> Result<()> {
    let mut stop = Stop::listen()?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("Failed to listen on TCP {listen}"))?;
    let address = listener
        .local_addr()
        .context("Failed to read the address listened on")?;
    Report::Listening { address }.print()?;
    let moved = Rc::new(Cell::new(0));
    let watch = Stopwatch::start();
    tokio::select! {
        () = stop.told() => {}
        result = accept(listener, &moved) => result?,
    }
    let result = Outcome::Moved {
        bytes: moved.get(),
        seconds: watch.seconds(),
        cpu_seconds: watch.cpu_seconds(),
    };
    Report::Result(result).print()
}

/// Accepts connections for ever.
pub(crate) async fn accept(listener: TcpListener, moved: &Rc<Cell<u64>>) -> Result<()> {
    loop {
        let (stream, from) = listener.accept().await.context("Failed to accept")?;
        let moved = Rc::clone(moved);
        tokio::task::spawn_local(async move {
            if let Err(error) = serve(stream, &moved).await {
                tracing::debug!(%from, %error, "connection ended");
            }
        });
    }
}

async fn serve(mut stream: TcpStream, moved: &Cell<u64>) -> io::Result<()> {
    match stream.read_u8().await? {
        TAKE => {
            let taken = take(&mut stream, moved).await?;
            stream.write_u64(taken).await
        }
        GIVE => give(&mut stream, moved).await,
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Reads to the end and returns the number of bytes; `moved` grows on the way.
pub(crate) async fn take(stream: &mut TcpStream, moved: &Cell<u64>) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut taken = 0;
    loop {
        let read = stream.read(&mut chunk).await? as u64;
        if read == 0 {
            return Ok(taken);
        }
        taken += read;
        moved.set(moved.get() + read);
    }
}

/// Writes until the connection ends, which the other side does.
pub(crate) async fn give(stream: &mut TcpStream, moved: &Cell<u64>) -> io::Result<()> {
    let chunk = vec![0x5a; CHUNK];
    loop {
        let written = stream.write(&chunk).await? as u64;
        moved.set(moved.get() + written);
    }
}
