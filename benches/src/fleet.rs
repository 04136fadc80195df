//! Many clients: connecting some at a time, and serving each from the moment it is connected.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock::Stopwatch;
use crate::dialer::Dialer;
use crate::link::Incoming;
use crate::session::Session;

/// How long goodbyes may take to leave.
const FAREWELL: Duration = Duration::from_millis(50);

/// Connected clients, each served by a task.
pub(crate) struct Fleet {
    /// The clients.
    pub(crate) sessions: Vec<Rc<Session>>,
    /// How long connecting all of them took.
    pub(crate) seconds: f64,
    ends: mpsc::UnboundedReceiver<anyhow::Error>,
    /// Dropping it ends the serving tasks.
    _serving: Rc<RefCell<JoinSet<()>>>,
}

impl Fleet {
    /// Connects `clients`, `concurrency` at a time. `handler` makes, for each, what receives its packets.
    ///
    /// # Errors
    /// When one of them can't connect.
    pub(crate) async fn connect<H>(
        dialer: &Rc<Dialer>,
        clients: u32,
        concurrency: u32,
        handler: impl Fn() -> H + 'static,
    ) -> Result<Self>
    where
        H: FnMut(&Session, &mut Incoming) + 'static,
    {
        let watch = Stopwatch::start();
        let (ended, ends) = mpsc::unbounded_channel();
        let crew = Rc::new(Crew {
            dialer: Rc::clone(dialer),
            left: Cell::new(clients),
            sessions: RefCell::default(),
            serving: Rc::default(),
            handler,
            ended,
        });
        let mut dialing = JoinSet::new();
        for _ in 0..concurrency.min(clients) {
            let crew = Rc::clone(&crew);
            dialing.spawn_local(async move { crew.dial(clients).await });
        }
        while let Some(dialed) = dialing.join_next().await {
            dialed.context("A task of the generator failed")??;
        }
        Ok(Self {
            sessions: crew.sessions.take(),
            seconds: watch.seconds(),
            ends,
            _serving: Rc::clone(&crew.serving),
        })
    }

    /// Waits until a client ends, and says why. Cancel safe.
    pub(crate) async fn lost(&mut self) -> anyhow::Error {
        match self.ends.recv().await {
            Some(error) => error,
            // All of them ended before.
            None => std::future::pending().await,
        }
    }

    /// Packets from the server that led to nothing.
    pub(crate) fn dropped(&self) -> u64 {
        self.sessions.iter().map(|session| session.dropped()).sum()
    }

    /// All clients say goodbye.
    pub(crate) async fn leave(&self) {
        for session in &self.sessions {
            session.leave();
        }
        tokio::time::sleep(FAREWELL).await;
    }
}

/// What the tasks that connect clients share.
struct Crew<F> {
    dialer: Rc<Dialer>,
    /// Clients nobody has begun to connect yet.
    left: Cell<u32>,
    sessions: RefCell<Vec<Rc<Session>>>,
    serving: Rc<RefCell<JoinSet<()>>>,
    handler: F,
    ended: mpsc::UnboundedSender<anyhow::Error>,
}

impl<F, H> Crew<F>
where
    F: Fn() -> H,
    H: FnMut(&Session, &mut Incoming) + 'static,
{
    /// Connects one client after another until none is left.
    async fn dial(&self, clients: u32) -> Result<()> {
        while let Some(left) = self.left.get().checked_sub(1) {
            self.left.set(left);
            let number = clients - left;
            let (session, incoming) = Session::connect(&self.dialer)
                .await
                .with_context(|| format!("Failed to connect client {number} of {clients}"))?;
            self.sessions.borrow_mut().push(Rc::clone(&session));
            let (handler, ended) = ((self.handler)(), self.ended.clone());
            self.serving.borrow_mut().spawn_local(async move {
                if let Err(error) = session.serve(incoming, handler).await {
                    // Nobody listens once the fleet is gone.
                    drop(ended.send(error.context(format!("Client {number} ended"))));
                }
            });
        }
        Ok(())
    }
}
