//! The server itself: what it owns, how it is built and polled. What it does is in the submodules, by subject.

mod admission;
mod decisions;
mod establish;
mod input;
mod leave;
mod operate;
mod renegotiate;
mod roaming;
mod session_events;
mod stateless;
mod timeouts;
mod tokens;
mod updates;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use culvert_crypto::{CookieKey, Entropy};
use culvert_data::DataPlane;
use culvert_pool::Pool;
use culvert_wire::Now;
use smallvec::SmallVec;

use crate::client::{Client, Stage};
use crate::drops::Counters;
use crate::event::{ClientId, Event, Transmit};
use crate::half_open::{HalfOpen, HalfOpenStage};
use crate::link::{LinkKey, SessionKey};
use crate::peer_ids::PeerIds;
use crate::push::{CommonOptions, KnownUpdates};
use crate::rate_limit::AttemptLimiter;
use crate::settings::{EndpointSettings, SettingsError};
use crate::timers::{TimerKind, TimerQueue};
use crate::tombstones::Tombstones;
use stateless::SharedKeys;

/// What TLS itself keeps for a handshake, which sessions don't count.
const TLS_STATE: usize = 9 << 10;

/// One endpoint. See the [crate documentation](crate) for the contract.
pub struct Server {
    settings: EndpointSettings,
    shared: SharedKeys,
    common: Arc<CommonOptions>,
    known_updates: KnownUpdates,
    data: Arc<DataPlane>,
    entropy: Box<dyn Entropy>,
    cookies: CookieKey,
    attempts: AttemptLimiter,
    pool: Pool,
    peer_ids: PeerIds,
    /// Every session, in order of age. A client that is being worked on is taken out, so the work can touch others.
    clients: BTreeMap<ClientId, Box<Client>>,
    by_session: HashMap<SessionKey, ClientId>,
    /// Live clients by link; for TCP also those not yet let in.
    by_link: HashMap<LinkKey, ClientId>,
    /// Live clients by identity.
    by_identity: HashMap<Arc<str>, SmallVec<[ClientId; 1]>>,
    half_open: HalfOpen,
    live: usize,
    tombstones: Tombstones,
    timers: TimerQueue,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    counters: Counters,
    /// Copy of a packet that is unwrapped only to look into it.
    scratch: Vec<u8>,
    /// Time zero of the packet calls' clock.
    epoch: Instant,
    next_client: u64,
    next_generation: u64,
    pool_exhausted: bool,
    shutting_down: bool,
}

impl Server {
    /// Builds the server of one endpoint.
    ///
    /// `now` is time zero of the milliseconds that packet calls on `data` are given: both sides must count from it,
    /// or idle clients are misjudged. `data` is for this server alone.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting and the cure.
    pub fn new(
        now: Now,
        settings: EndpointSettings,
        data: Arc<DataPlane>,
        mut entropy: Box<dyn Entropy>,
    ) -> Result<Self, SettingsError> {
        settings.check(&data)?;
        let pool = Pool::new(settings.pool).map_err(|error| SettingsError::Pool(error.to_string()))?;
        let common = CommonOptions::compose(&settings.push, &settings.keepalive, pool.server_v4())?;
        let common = Arc::new(common);
        let cookies = CookieKey::new(&mut *entropy);
        let attempts = AttemptLimiter::new(now.instant, settings.attempts, &mut *entropy);
        Ok(Self {
            shared: SharedKeys::new(&settings.wrap),
            peer_ids: PeerIds::new(data.config().max_peers),
            settings,
            common,
            known_updates: KnownUpdates::default(),
            data,
            entropy,
            cookies,
            attempts,
            pool,
            clients: BTreeMap::new(),
            by_session: HashMap::new(),
            by_link: HashMap::new(),
            by_identity: HashMap::new(),
            half_open: HalfOpen::default(),
            live: 0,
            tombstones: Tombstones::default(),
            timers: TimerQueue::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            scratch: Vec::new(),
            epoch: now.instant,
            next_client: 1,
            next_generation: 1,
            pool_exhausted: false,
            shutting_down: false,
        })
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing to know or to do.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called, and for what.
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        let tombstones = self.tombstones.next().map(|at| (at, TimerKind::Tombstones));
        match (self.timers.next(), tombstones) {
            (Some(timer), Some(tombstone)) => Some(if tombstone.0 < timer.0 { tombstone } else { timer }),
            (timer, tombstone) => timer.or(tombstone),
        }
    }

    /// Milliseconds on the packet calls' clock: those since the `now` given to [`Self::new`].
    pub fn clock_ms(&self, now: Now) -> u64 {
        let since = now.instant.saturating_duration_since(self.epoch);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment of a stamp from the data plane.
    fn instant_of_ms(&self, ms: u64) -> Instant {
        self.epoch
            .checked_add(Duration::from_millis(ms))
            .unwrap_or(self.epoch)
    }

    /// Works on one client, then deals with everything its session has to say. A client that is gone already, or is
    /// being worked on further up the call chain, is left alone.
    fn with_client(&mut self, now: Now, id: ClientId, work: impl FnOnce(&mut Self, &mut Client)) {
        if let Some(mut client) = self.clients.remove(&id) {
            work(self, &mut client);
            self.settle(now, client);
        }
    }

    /// Drains a client's session and puts the client back, or buries it.
    fn settle(&mut self, now: Now, mut client: Box<Client>) {
        while !matches!(client.stage, Stage::Gone) {
            let Some(event) = client.session.poll_event() else {
                break;
            };
            self.handle_session_event(now, &mut client, event);
        }
        while let Some(packet) = client.session.poll_transmit(now) {
            self.transmits.push_back(Transmit {
                to: client.link,
                packet,
            });
        }
        if matches!(client.stage, Stage::Gone) {
            self.bury(now, *client);
            return;
        }
        self.schedule_control(now, &mut client);
        self.account(&client);
        self.clients.insert(client.id, client);
        self.evict(now);
    }

    fn schedule_control(&mut self, now: Now, client: &mut Client) {
        /// A deadline that is due already fires again this much later: progress without a busy loop.
        const SHORTEST: Duration = Duration::from_millis(1);
        let at = client
            .session
            .poll_timeout()
            .map(|at| at.max(now.instant + SHORTEST));
        self.timers
            .set(&mut client.deadlines, client.id, TimerKind::Control, at);
    }

    /// Keeps the books of the half-open pool.
    fn account(&mut self, client: &Client) {
        if client.authenticated {
            return;
        }
        let stage = match client.stage {
            Stage::Handshake => HalfOpenStage::Handshake,
            Stage::Judging(_) | Stage::Live(_) => HalfOpenStage::Judging,
            Stage::Refusing(_) | Stage::Closing | Stage::Gone => HalfOpenStage::Refused,
        };
        let bytes = size_of::<Client>() + TLS_STATE + client.session.buffered_bytes();
        self.half_open.note(client.id, stage, bytes);
    }
}
