//! A UDP relay that loses, duplicates and reorders datagrams, in both directions, repeatably.

use std::collections::BinaryHeap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::netns::Netns;

/// How many datagrams towards the server a relay remembers.
const REMEMBERED: usize = 64;

/// How a [`Relay`] mistreats datagrams; all rates in percent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mistreatment {
    /// Datagrams that vanish.
    pub loss: u32,
    /// Datagrams that arrive twice.
    pub duplicate: u32,
    /// Datagrams held back for 5 to 25 ms, so that later ones overtake them.
    pub reorder: u32,
    /// Makes the sequence of decisions repeatable.
    pub seed: u64,
}

#[derive(Debug)]
struct Held {
    due: Instant,
    to_server: bool,
    datagram: Vec<u8>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}
impl Eq for Held {}
impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.due.cmp(&self.due)
    }
}

/// What a test changes or reads while the relay runs.
#[derive(Debug, Default)]
struct Shared {
    /// The socket to use towards the server from now on.
    next_outside: Option<UdpSocket>,
    /// The newest datagrams sent to the server, oldest first.
    sent: std::collections::VecDeque<Vec<u8>>,
}

/// A relay for one client, running until dropped.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Mutex<Shared>>,
    server: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
    address: SocketAddr,
}

impl Relay {
    /// Starts a relay in a namespace that passes datagrams on to `server`.
    ///
    /// # Errors
    /// Fails when its sockets can't be made.
    pub fn start(ns: &Netns, server: SocketAddr, how: Mistreatment) -> Result<Self> {
        let (inside, outside) = ns.enter(move || {
            let inside = UdpSocket::bind("127.0.0.1:0")?;
            let outside = UdpSocket::bind("0.0.0.0:0")?;
            outside.connect(server)?;
            Ok((inside, outside))
        })?;
        inside.set_nonblocking(true)?;
        outside.set_nonblocking(true)?;
        let address = inside.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            run(&inside, outside, how, &theirs, &flag);
            Ok(())
        });
        Ok(Self {
            shared,
            server,
            stop,
            thread: Some(thread),
            address,
        })
    }

    /// From now on datagrams to the server leave from another address and port, as when a phone changes networks.
    ///
    /// # Errors
    /// Fails when the address isn't one of the namespace's.
    pub fn move_to(&self, ns: &Netns, local: SocketAddr) -> Result<()> {
        let server = self.server;
        let socket = ns.enter(move || {
            let socket = UdpSocket::bind(local)?;
            socket.connect(server)?;
            Ok(socket)
        })?;
        socket.set_nonblocking(true)?;
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next_outside = Some(socket);
        Ok(())
    }

    /// The newest datagrams that went to the server, oldest first.
    #[must_use]
    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sent
            .iter()
            .cloned()
            .collect()
    }

    /// Where the client must send its datagrams.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Decides the fate of each datagram.
struct Dice(u64);

impl Dice {
    fn percent(&mut self, chance: u32) -> bool {
        self.roll() % 100 < u64::from(chance)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

fn run(
    inside: &UdpSocket,
    mut outside: UdpSocket,
    how: Mistreatment,
    shared: &Mutex<Shared>,
    stop: &AtomicBool,
) {
    let mut dice = Dice(how.seed);
    let mut client = None;
    let mut held = BinaryHeap::new();
    let mut buffer = [0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let mut idle = true;
        if let Some(next) = shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next_outside
            .take()
        {
            outside = next;
        }
        for _ in 0..64 {
            let Ok((n, from)) = inside.recv_from(&mut buffer) else {
                break;
            };
            idle = false;
            client = Some(from);
            mistreat(&mut dice, how, true, &buffer[..n], &mut held);
        }
        for _ in 0..64 {
            let Ok(n) = outside.recv(&mut buffer) else { break };
            idle = false;
            mistreat(&mut dice, how, false, &buffer[..n], &mut held);
        }
        while held.peek().is_some_and(|next: &Held| next.due <= Instant::now()) {
            let Some(next) = held.pop() else { break };
            // A full queue is one more lost datagram.
            if next.to_server {
                drop(outside.send(&next.datagram));
                remember(shared, next.datagram);
            } else if let Some(client) = client {
                drop(inside.send_to(&next.datagram, client));
            }
        }
        if idle {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn remember(shared: &Mutex<Shared>, datagram: Vec<u8>) {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if shared.sent.len() == REMEMBERED {
        shared.sent.pop_front();
    }
    shared.sent.push_back(datagram);
}

fn mistreat(
    dice: &mut Dice,
    how: Mistreatment,
    to_server: bool,
    datagram: &[u8],
    held: &mut BinaryHeap<Held>,
) {
    if dice.percent(how.loss) {
        return;
    }
    let copies = if dice.percent(how.duplicate) { 2 } else { 1 };
    for _ in 0..copies {
        let delay = if dice.percent(how.reorder) {
            5 + dice.roll() % 20
        } else {
            0
        };
        let due = Instant::now() + Duration::from_millis(delay);
        held.push(Held {
            due,
            to_server,
            datagram: datagram.to_vec(),
        });
    }
}
