//! Why control packets are dropped, and how often.

/// Why a control packet led to nothing. Its name is the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Too short or with an unknown opcode, or no session id.
    Malformed,
    /// A data packet: it belongs to the data plane.
    NotControl,
    /// An opcode only servers send.
    WrongRole,
    /// A reset shorter than 14 bytes.
    ShortReset,
    /// The wrapper does not verify: foreign key, damaged, or not meant for us.
    Unauthentic,
    /// The wrapped client key (tls-crypt-v2) does not verify.
    BadClientKey,
    /// This endpoint does not take this kind of wrapping.
    WrapNotOffered,
    /// The source made too many attempts.
    RateLimited,
    /// A tls-crypt-v2 client that can't use cookies, and they are required.
    CookieRequired,
    /// Not from a known session, and no cookie in it.
    NoCookie,
    /// A cookie we did not give to this address, or an old one.
    WrongCookie,
    /// A first packet that claims to be further than the first answer.
    OutOfOrder,
    /// A late packet of a session that ended.
    EndedSession,
    /// A second session on one TCP connection.
    SecondSession,
    /// Refused by the session: replayed, out of the window, malformed.
    Session,
    /// The server is going down and takes nobody new.
    ShuttingDown,
}

impl DropReason {
    /// Every reason, in the order of [`Counters::drops`].
    pub const ALL: [Self; 16] = [
        Self::Malformed,
        Self::NotControl,
        Self::WrongRole,
        Self::ShortReset,
        Self::Unauthentic,
        Self::BadClientKey,
        Self::WrapNotOffered,
        Self::RateLimited,
        Self::CookieRequired,
        Self::NoCookie,
        Self::WrongCookie,
        Self::OutOfOrder,
        Self::EndedSession,
        Self::SecondSession,
        Self::Session,
        Self::ShuttingDown,
    ];

    /// Name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotControl => "not_control",
            Self::WrongRole => "wrong_role",
            Self::ShortReset => "short_reset",
            Self::Unauthentic => "unauthentic",
            Self::BadClientKey => "bad_client_key",
            Self::WrapNotOffered => "wrap_not_offered",
            Self::RateLimited => "rate_limited",
            Self::CookieRequired => "cookie_required",
            Self::NoCookie => "no_cookie",
            Self::WrongCookie => "wrong_cookie",
            Self::OutOfOrder => "out_of_order",
            Self::EndedSession => "ended_session",
            Self::SecondSession => "second_session",
            Self::Session => "session",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

impl core::fmt::Display for DropReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a server counted since it was built, and how much it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Resets answered without keeping anything.
    pub resets_answered: u64,
    /// Sessions created.
    pub sessions_created: u64,
    /// Half-open sessions that gave way to newer ones.
    pub half_open_evicted: u64,
    /// Clients let in.
    pub clients_connected: u64,
    /// Clients let in that are gone.
    pub clients_disconnected: u64,
    /// Refusals of any kind.
    pub refusals: u64,
    /// Finished renegotiations.
    pub renegotiations: u64,
    /// Clients told of changed options.
    pub updates: u64,
    /// Control packets dropped, by [`DropReason::ALL`].
    pub drops: [u64; DropReason::ALL.len()],
    /// Sessions that have not authenticated, now.
    pub half_open: usize,
    /// Bytes they hold, now.
    pub half_open_bytes: usize,
    /// Clients let in, now.
    pub clients: usize,
    /// Sessions of any kind, now: half-open, let in, or in their last seconds.
    pub sessions: usize,
    /// Timers that are set, now.
    pub timers: usize,
    /// Ended sessions still remembered, now.
    pub tombstones: usize,
    /// Client addresses in use, now.
    pub addresses_in_use: u32,
}

impl Counters {
    /// Packets dropped for one reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or(0)
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        if let Some(counter) = self.drops.get_mut(reason as usize) {
            *counter += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_counter_and_a_name_of_its_own() {
        let mut names = std::collections::HashSet::new();
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            assert!(names.insert(reason.name()));
        }
    }
}
