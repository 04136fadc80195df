//! Control packets on their way in: which session they belong to, or what a stranger may start.

use std::time::Duration;

use culvert_control::{ControlDrop, Session, Start};
use culvert_wire::control::ControlHeader;
use culvert_wire::{LinkAddr, Now, Opcode, SessionId, TcpLink};

use super::Server;
use super::stateless::Opened;
use crate::client::{Client, Stage};
use crate::drops::DropReason;
use crate::event::{ClientId, DisconnectReason, Event, Presented, RefusalKind, Refused};
use crate::link::{LinkKey, SessionKey};
use crate::timers::Deadlines;

impl Server {
    /// Takes a control packet. Data packets belong to the data plane.
    ///
    /// The packet is decrypted in place. Over TCP a packet that can't be believed ends the connection
    /// ([`Event::CloseLink`]); over UDP it is only dropped.
    ///
    /// # Errors
    /// [`DropReason`] says why the packet led to nothing; it is counted already.
    pub fn handle_link_input(
        &mut self,
        now: Now,
        from: LinkAddr,
        packet: &mut [u8],
    ) -> Result<(), DropReason> {
        let result = self.link_input(now, from, packet);
        if let Err(reason) = result {
            self.counters.count_drop(reason);
            if let (LinkAddr::Tcp(tcp), true) = (from, ends_connection(reason)) {
                self.break_off(now, tcp);
            }
        }
        result
    }

    /// Takes note that a TCP connection ended. Nobody is told goodbye over it any more.
    pub fn handle_link_closed(&mut self, now: Now, link: TcpLink) {
        let key = LinkKey::Tcp(link.id);
        if let Some(id) = self.by_link.get(&key).copied() {
            self.with_client(now, id, |server, client| {
                server.end(now, client, DisconnectReason::LinkClosed);
                client.stage = Stage::Gone;
            });
            // The owner knows already that the connection is closed.
            self.events
                .retain(|event| !matches!(event, Event::CloseLink(closed) if closed.id == link.id));
        }
    }

    fn link_input(&mut self, now: Now, from: LinkAddr, packet: &mut [u8]) -> Result<(), DropReason> {
        let (header, _) = ControlHeader::parse(packet).map_err(|_| unreadable(packet))?;
        let key = SessionKey::new(&from, header.session);
        if let Some(id) = self.by_session.get(&key).copied() {
            return self.session_input(now, id, packet);
        }
        self.tombstones.expire(now.instant);
        if self.tombstones.contains(&key) {
            return Err(DropReason::EndedSession);
        }
        match (header.first.opcode, from) {
            (Opcode::ControlHardResetClientV2 | Opcode::ControlHardResetClientV3, LinkAddr::Udp(_)) => {
                self.udp_reset(now, from, header, packet)
            }
            (Opcode::ControlHardResetClientV2 | Opcode::ControlHardResetClientV3, LinkAddr::Tcp(_)) => {
                self.tcp_reset(now, from, header, packet)
            }
            (Opcode::ControlV1 | Opcode::AckV1 | Opcode::ControlWkcV1, LinkAddr::Udp(_)) => {
                self.returning(now, from, header, packet)
            }
            (Opcode::ControlHardResetServerV2, _) => Err(DropReason::WrongRole),
            (
                Opcode::ControlSoftResetV1
                | Opcode::ControlV1
                | Opcode::AckV1
                | Opcode::ControlWkcV1
                | Opcode::DataV1
                | Opcode::DataV2,
                _,
            ) => Err(DropReason::NoCookie),
        }
    }

    fn session_input(&mut self, now: Now, id: ClientId, packet: &mut [u8]) -> Result<(), DropReason> {
        let mut result = Ok(());
        self.with_client(now, id, |server, client| {
            match client.session.handle_packet(now, packet, &mut *server.entropy) {
                Ok(()) => client.heard = now.instant,
                Err(dropped) => result = Err(drop_reason(dropped)),
            }
        });
        result
    }

    /// Creates the session of a client that sent our cookie back, and lets it take the packet.
    pub(super) fn create_from_cookie(
        &mut self,
        now: Now,
        from: LinkAddr,
        header: ControlHeader,
        opened: Opened,
        local: SessionId,
        packet: &mut [u8],
    ) -> Result<(), DropReason> {
        self.check_key_age(now, from, &opened)?;
        let id = self.create(now, from, header, opened, local, Start::Cookie);
        self.session_input(now, id, packet)
    }

    /// Creates the session of a client whose reset is believed as it is.
    pub(super) fn create_from_reset(
        &mut self,
        now: Now,
        from: LinkAddr,
        header: ControlHeader,
        opened: Opened,
        packet: &mut [u8],
    ) -> Result<(), DropReason> {
        self.check_key_age(now, from, &opened)?;
        let local = self.entropy.session_id();
        let id = self.create(now, from, header, opened, local, Start::Reset);
        self.session_input(now, id, packet)
    }

    fn create(
        &mut self,
        now: Now,
        from: LinkAddr,
        header: ControlHeader,
        opened: Opened,
        local: SessionId,
        start: Start,
    ) -> ClientId {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        let session = self.new_session(now, from, header.session, local, opened, start);
        let key = SessionKey::new(&from, header.session);
        let client = Client {
            id,
            link: from,
            key,
            session,
            deadlines: Deadlines::default(),
            stage: Stage::Handshake,
            authenticated: false,
            heard: now.instant,
        };
        self.by_session.insert(key, id);
        if !from.is_udp() {
            self.by_link.insert(key.link, id);
        }
        self.counters.sessions_created += 1;
        self.clients.insert(id, Box::new(client));
        id
    }

    fn new_session(
        &mut self,
        now: Now,
        from: LinkAddr,
        remote: SessionId,
        local: SessionId,
        opened: Opened,
        start: Start,
    ) -> Session {
        Session::accept(
            self.settings.session.clone(),
            now,
            opened.session_wrap,
            &from,
            local,
            remote,
            start,
        )
    }

    /// Refuses client keys older than the operator allows.
    fn check_key_age(&mut self, now: Now, from: LinkAddr, opened: &Opened) -> Result<(), DropReason> {
        let most = self
            .settings
            .wrap
            .tls_crypt_v2
            .as_ref()
            .and_then(|v2| v2.max_key_age);
        let (Some(most), Some(made)) = (most, opened.key_made) else {
            return Ok(());
        };
        let age = Duration::from_secs(now.unix.saturating_sub(made));
        if age <= most {
            return Ok(());
        }
        let days = |age: Duration| age.as_secs() / 86_400;
        let reason = format!(
            "the client's tls-crypt-v2 key is {} days old, the endpoint allows {}; issue a new profile",
            days(age),
            days(most)
        );
        self.counters.refusals += 1;
        let refused = Refused {
            client: ClientId(0),
            link: from,
            presented: Presented::default(),
            kind: RefusalKind::ClientKey,
            code: None,
            reason,
        };
        self.events.push_back(Event::Refused(Box::new(refused)));
        Err(DropReason::BadClientKey)
    }

    /// Ends a TCP connection on which something unbelievable arrived.
    fn break_off(&mut self, now: Now, tcp: TcpLink) {
        match self.by_link.get(&LinkKey::Tcp(tcp.id)).copied() {
            Some(id) => self.with_client(now, id, |server, client| {
                let what = "a packet on its TCP connection could not be believed".to_owned();
                server.end(now, client, DisconnectReason::ControlChannel(what));
                client.stage = Stage::Gone;
            }),
            None => self.events.push_back(Event::CloseLink(tcp)),
        }
    }
}

/// Why a header could not be read.
fn unreadable(packet: &[u8]) -> DropReason {
    match packet.first().map(|byte| Opcode::from_value(byte >> 3)) {
        Some(Ok(opcode)) if opcode.is_data() => DropReason::NotControl,
        Some(Ok(opcode)) if opcode.is_hard_reset() => DropReason::ShortReset,
        _ => DropReason::Malformed,
    }
}

fn drop_reason(dropped: ControlDrop) -> DropReason {
    if matches!(dropped, ControlDrop::Unauthentic(_)) {
        DropReason::Unauthentic
    } else {
        DropReason::Session
    }
}

/// Whether a TCP connection ends over this. A stream delivers what was sent, so damage means malice or a bug.
fn ends_connection(reason: DropReason) -> bool {
    !matches!(
        reason,
        DropReason::Session | DropReason::NotControl | DropReason::SecondSession
    )
}
