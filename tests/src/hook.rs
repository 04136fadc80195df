//! A web service that answers every POST the same way, and remembers what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::netns::Netns;

/// How a hook answers.
#[derive(Clone, Debug)]
pub struct HookAnswer {
    /// The status line's code and words, as `200 OK`.
    pub status: &'static str,
    /// Further header lines, each with its line end.
    pub headers: &'static str,
    /// The body.
    pub body: String,
}

/// A running web service, ended when dropped.
#[derive(Debug)]
pub struct Hook {
    address: SocketAddr,
    answer: Arc<Mutex<HookAnswer>>,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Hook {
    /// Starts one on the loopback interface of a namespace.
    ///
    /// # Errors
    /// Fails when it can't listen there.
    pub fn start(ns: &Netns, answer: HookAnswer) -> Result<Self> {
        let listener = ns.enter(|| Ok(TcpListener::bind("127.0.0.1:0")?))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let answer = Arc::new(Mutex::new(answer));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (how, bodies, flag) = (Arc::clone(&answer), Arc::clone(&asked), Arc::clone(&stop));
        let thread = ns.spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                match listener.accept() {
                    // Whoever asks badly gets no answer, which fails the test where it looks.
                    Ok((stream, _)) => drop(serve(&stream, &how, &bodies)),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
            Ok(())
        })?;
        Ok(Self {
            address,
            answer,
            asked,
            stop,
            thread: Some(thread),
        })
    }

    /// Its address for a configuration.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/connect", self.address)
    }

    /// Answers like this from now on.
    pub fn answer(&self, answer: HookAnswer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// The bodies it was sent so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Serves one request on a connection of its own.
fn serve(stream: &TcpStream, answer: &Mutex<HookAnswer>, asked: &Mutex<Vec<String>>) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    anyhow::ensure!(line.starts_with("POST /connect "), "no POST: {line}");
    let mut length = None;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = Some(value.trim().parse()?);
        }
    }
    let mut body = vec![0; length.context("no length")?];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body)?;
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    let how = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (mut to, length) = (stream, how.body.len());
    write!(
        to,
        "HTTP/1.1 {}\r\nContent-Length: {length}\r\nConnection: close\r\n{}\r\n{}",
        how.status, how.headers, how.body
    )?;
    Ok(())
}
