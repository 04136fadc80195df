//! One client on its link: the state machine, its timers, and the loop that feeds both.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;

use anyhow::{Result, anyhow};
use culvert_client::{Client, ClientEvent, End};
use culvert_wire::Now;
use tokio::time::{Instant, sleep_until};

use crate::clock;
use crate::dialer::Dialer;
use crate::link::{self, Incoming, Link};

/// Batches handled before other tasks get a turn.
const BUDGET: usize = 16;

/// A client that is connecting or connected.
pub(crate) struct Session {
    client: RefCell<Client>,
    link: Link,
    end: RefCell<Option<End>>,
    /// Packets from the server that led to nothing.
    dropped: Cell<u64>,
}

impl Session {
    /// Connects up to the server's options.
    ///
    /// # Errors
    /// Why it failed; a server that never answers counts after the handshake window of 60 s.
    pub(crate) async fn connect(dialer: &Dialer) -> Result<(Rc<Self>, Incoming)> {
        let (link, mut incoming) = link::open(dialer).await?;
        let session = Self {
            client: RefCell::new(dialer.client(link.address())),
            link,
            end: RefCell::new(None),
            dropped: Cell::new(0),
        };
        session
            .drive(&mut incoming, Self::discard, |client| {
                client.is_connected() || client.is_ended()
            })
            .await?;
        if session.client.borrow().is_connected() {
            Ok((Rc::new(session), incoming))
        } else {
            Err(session.why())
        }
    }

    /// Serves a connected client until it ends, which no client does unless its server is gone, refuses it, or was told
    /// that it leaves. `on_batch` gets each batch of packets, to be passed to [`Self::open_batch`].
    ///
    /// # Errors
    /// Always, at last: why it ended.
    pub(crate) async fn serve(
        &self,
        mut incoming: Incoming,
        on_batch: impl FnMut(&Self, &mut Incoming),
    ) -> Result<()> {
        self.drive(&mut incoming, on_batch, Client::is_ended).await?;
        Err(self.why())
    }

    /// The handler of a client nobody waits for packets of.
    pub(crate) fn discard(&self, incoming: &mut Incoming) {
        self.open_batch(incoming, |_| {});
    }

    /// Feeds a received batch to the client and hands over the IP packets that were in it.
    pub(crate) fn open_batch<'b>(&self, incoming: &'b mut Incoming, mut deliver: impl FnMut(&'b [u8])) {
        let now = clock::now();
        let mut client = self.client.borrow_mut();
        incoming.each(|packet| match client.handle_link_input(now, packet) {
            Ok(Some(ip)) => deliver(ip),
            Ok(None) => {}
            Err(_) => self.dropped.set(self.dropped.get() + 1),
        });
    }

    /// Seals an IP packet, given in parts, into the batch of the link; `false` if it was dropped. To be followed by
    /// [`Self::flush`].
    pub(crate) fn send(&self, now: Now, parts: &[&[u8]]) -> bool {
        let mut client = self.client.borrow_mut();
        let plain = parts.iter().map(|part| part.len()).sum();
        client.sealed_len(plain).is_ok_and(|len| {
            self.link
                .push_with(len, |room| client.seal_into(now, parts, room).ok())
        })
    }

    /// Sends the batch and returns the number of datagrams the kernel took; 0 over TCP.
    pub(crate) fn flush(&self) -> u64 {
        self.link.flush()
    }

    /// The way to the server.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// The client itself, for what it knows.
    pub(crate) fn client(&self) -> std::cell::Ref<'_, Client> {
        self.client.borrow()
    }

    /// Packets from the server that led to nothing.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Says goodbye to the server.
    pub(crate) fn leave(&self) {
        self.client.borrow_mut().exit(clock::now());
        self.settle();
        self.link.close();
    }

    /// Runs the client until `done`: packets, timers, and what they make it send.
    async fn drive(
        &self,
        incoming: &mut Incoming,
        mut on_batch: impl FnMut(&Self, &mut Incoming),
        done: impl Fn(&Client) -> bool,
    ) -> Result<()> {
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut turns = 0;
        loop {
            self.settle();
            if done(&self.client.borrow()) {
                return Ok(());
            }
            // Deadlines mostly move away as packets pass; the timer is set anew only when it fired, or for an earlier one.
            if let Some(deadline) = self.client.borrow().poll_timeout().map(Instant::from_std)
                && (timer.is_elapsed() || deadline < timer.deadline())
            {
                timer.as_mut().reset(deadline);
            }
            tokio::select! {
                // The timer first: packets that never cease mustn't keep it from being served.
                biased;
                () = &mut timer => self.client.borrow_mut().handle_timeout(clock::now()),
                received = incoming.receive() => {
                    received.map_err(|error| anyhow!("The link to the server failed: {error}"))?;
                    on_batch(self, incoming);
                    turns += 1;
                    if turns % BUDGET == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }

    /// Sends what the client wants sent, and notes what happened to it.
    fn settle(&self) {
        let mut client = self.client.borrow_mut();
        let mut sends = false;
        while let Some(packet) = client.poll_transmit() {
            self.link.push_control(&packet);
            sends = true;
        }
        while let Some(event) = client.poll_event() {
            if let ClientEvent::Ended(end) = event {
                *self.end.borrow_mut() = Some(end);
            }
        }
        if sends {
            self.link.flush();
        }
    }

    /// Why a client that ended did.
    fn why(&self) -> anyhow::Error {
        match &*self.end.borrow() {
            Some(End::AuthFailed(failure)) => anyhow!("The server refused the client: {failure:?}"),
            Some(End::Failed(error)) => anyhow!("The control channel failed: {error}"),
            Some(End::NoOptions) => anyhow!("The server sent no options"),
            Some(End::BadOptions(reason)) => anyhow!("The server's options can't be used: {reason}"),
            Some(End::PingTimeout) => anyhow!("Nothing was heard from the server any more"),
            Some(End::Restart(reason) | End::Halt(reason)) => {
                anyhow!(
                    "The server ended the session: {}",
                    reason.as_deref().unwrap_or("no reason given")
                )
            }
            Some(End::Exited) | None => anyhow!("The client left"),
        }
    }
}
