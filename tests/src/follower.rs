//! A client of our own that stays connected and follows what the server pushes: stock clients of a generation that takes
//! updates are not packaged everywhere.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use culvert_client::Personality;
use culvert_wire::push::PushOptions;

use crate::member::{Member, now, settings};
use crate::netns::Netns;
use crate::openvpn::CONNECT;
use crate::pki::Leaf;

/// A client that follows.
#[derive(Debug)]
pub struct Follower {
    /// What it was told so far, or how it ended.
    told: Arc<Mutex<Result<Option<PushOptions>, String>>>,
    leave: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Follower {
    /// Connects over UDP from a namespace and waits for the options.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub fn connect(
        ns: &Netns,
        server: SocketAddr,
        ca: &Path,
        leaf: &Leaf,
        personality: Personality,
    ) -> Result<Self> {
        let settings = settings(ca, leaf, personality)?;
        let told = Arc::new(Mutex::new(Ok(None)));
        let leave = Arc::new(AtomicBool::new(false));
        let (tell, left) = (Arc::clone(&told), Arc::clone(&leave));
        let thread = ns.spawn(move || {
            let mut member = Member::dial(server, settings)?;
            while !left.load(Ordering::Relaxed) {
                if member.turn() == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
                let known = match &member.end {
                    Some(end) => Err(format!("{end:?}")),
                    None => Ok(member.client.options().cloned()),
                };
                *tell.lock().unwrap_or_else(PoisonError::into_inner) = known;
            }
            member.client.exit(now());
            member.turn();
            Ok(())
        })?;
        let follower = Self { told, leave, thread };
        follower.wait_for("options", CONNECT, |_| true)?;
        Ok(follower)
    }

    /// What it was told, updates included.
    ///
    /// # Errors
    /// Fails when the connection has ended.
    pub fn options(&self) -> Result<PushOptions> {
        match &*self.told.lock().unwrap_or_else(PoisonError::into_inner) {
            Ok(Some(options)) => Ok(options.clone()),
            Ok(None) => bail!("no options came yet"),
            Err(end) => bail!("the connection has ended: {end}"),
        }
    }

    /// Waits until it was told what is expected.
    ///
    /// # Errors
    /// Fails when that takes too long.
    pub fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        expected: impl Fn(&PushOptions) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let options = self.options();
            if options.as_ref().is_ok_and(&expected) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{what} did not come; {:?} did",
                options.map(|options| options.iter().map(|words| words.join(" ")).collect::<Vec<_>>())
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Leaves.
    ///
    /// # Errors
    /// Fails when the connection had ended.
    pub fn disconnect(self) -> Result<()> {
        self.options()?;
        self.leave.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the client panicked")?
    }
}
