//! The two ways through the data plane: what is asked of a packet, in which order.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::Guard;
use culvert_wire::LinkAddr;
use culvert_wire::data::DataHeader;
use culvert_wire::ip::IpHeader;
use culvert_wire::occ::{self, OccMessage};

use super::{DataPlane, Inbound};
use crate::DropReason;
use crate::outbound::Outbound;
use crate::peer::{Origin, Peer};
use crate::shared::LinkKey;

impl DataPlane {
    pub(super) fn open_packet<'p>(
        &self,
        now_ms: u64,
        from: &LinkAddr,
        packet: &'p mut [u8],
    ) -> Result<Inbound<'p>, DropReason> {
        let header = DataHeader::parse(packet).map_err(|_| DropReason::Malformed)?;
        let len = packet.len();
        let sender = self.sender(&header, from)?;
        let peer = sender.as_ref().ok_or(DropReason::UnknownPeer)?;
        let origin = peer.origin(from);
        if origin == Origin::Foreign {
            return Err(DropReason::WrongLink);
        }
        let opened = peer
            .with_key(header.key_id, |slot| {
                let opened = slot.key.open(header.len, packet);
                peer.report_key_limit(slot);
                opened
            })
            .ok_or(DropReason::UnknownKey)??;

        // From here on the packet is known to come from this client, and for the first time.
        peer.rx.count_link(now_ms, len);
        if origin == Origin::Moved && opened.newest && header.named_peer().is_some() {
            peer.report_float(now_ms, from);
        }
        let payload = peer.framing.strip(opened.payload)?;
        if occ::is_ping(payload) {
            return Ok(Inbound::Consumed);
        }
        if let Some(message) = OccMessage::parse(payload) {
            return self.handle_occ(now_ms, peer, message);
        }
        self.forward(now_ms, peer, payload)
    }

    /// The client a packet claims to come from.
    fn sender(&self, header: &DataHeader, from: &LinkAddr) -> Result<Guard<Option<Arc<Peer>>>, DropReason> {
        let place = match header.named_peer() {
            Some(id) => self.peers.get(id.index()),
            None => {
                let key = LinkKey::of(from);
                let id = self.shared.links.find(&key, |id| {
                    let peer = self.peers.get(id as usize).map(|place| place.load());
                    peer.is_some_and(|peer| peer.as_ref().is_some_and(|peer| peer.is_linked_by(&key)))
                });
                id.and_then(|id| self.peers.get(id as usize))
            }
        };
        Ok(place.ok_or(DropReason::UnknownPeer)?.load())
    }

    fn handle_occ<'p>(
        &self,
        now_ms: u64,
        peer: &Arc<Peer>,
        message: OccMessage<'_>,
    ) -> Result<Inbound<'p>, DropReason> {
        let reply = |payload| {
            Ok(Inbound::Reply {
                payload,
                out: Outbound::for_message(now_ms, Arc::clone(peer))?,
            })
        };
        match message {
            OccMessage::Exit => {
                peer.report_exit();
                Ok(Inbound::Consumed)
            }
            OccMessage::MtuLoadRequest(size) => {
                // The request names the size of the whole packet; what we would never send otherwise is not sent here.
                let out = Outbound::for_message(now_ms, Arc::clone(peer))?;
                let empty = OccMessage::MtuLoad(&[]).encode();
                let around = out.sealed_len(empty.len());
                let largest = out.sealed_len(usize::from(peer.tun_mtu));
                let filler = vec![0; usize::from(size).min(largest).saturating_sub(around)];
                let payload = OccMessage::MtuLoad(&filler).encode();
                Ok(Inbound::Reply { payload, out })
            }
            OccMessage::MtuRequest => reply(
                OccMessage::MtuReply {
                    max_received: peer.rx.largest(),
                    max_sent: peer.tx.largest(),
                }
                .encode(),
            ),
            _ => Ok(Inbound::Consumed),
        }
    }

    /// Decides where an IP packet from a client goes.
    fn forward<'p>(
        &self,
        now_ms: u64,
        peer: &Peer,
        payload: &'p mut [u8],
    ) -> Result<Inbound<'p>, DropReason> {
        let header = IpHeader::parse(payload).map_err(|_| DropReason::NotIp)?;
        let ip = payload.get_mut(..header.total_len).ok_or(DropReason::NotIp)?;
        check_source(peer, header.source)?;
        check_unicast(header.destination)?;
        if self.is_server(header.destination) {
            peer.segment_limit().clamp(&header, ip);
        } else if self.is_client(header.destination) {
            return self.forward_to_client(now_ms, peer, &header, ip);
        } else if peer.may_send(&header, ip) {
            peer.segment_limit().clamp(&header, ip);
        } else {
            return Err(DropReason::NotAuthorized);
        }
        peer.rx.count_tun(ip.len());
        Ok(Inbound::Tun { ip })
    }

    fn forward_to_client<'p>(
        &self,
        now_ms: u64,
        peer: &Peer,
        header: &IpHeader,
        ip: &'p mut [u8],
    ) -> Result<Inbound<'p>, DropReason> {
        if !self.between_clients(header.destination) {
            return Err(DropReason::ClientToClient);
        }
        let open = peer.allows(header.destination);
        if !open && !peer.reaches(header.destination) {
            return Err(DropReason::NotAuthorized);
        }
        let target = self.peer_at(header.destination).ok_or(DropReason::NoRoute)?;
        if !target.allows(header.source) && !target.reaches(header.source) {
            return Err(DropReason::NotAuthorizedReverse);
        }
        // Where rules are limited, the sender's say what it may begin, the receiver's what it may be answered.
        if !open && !peer.may_send(header, ip) && !target.is_answered_by(header, ip) {
            return Err(DropReason::NotAuthorized);
        }
        if ip.len() > usize::from(target.tun_mtu) {
            return Err(DropReason::TooBig);
        }
        peer.segment_limit().clamp(header, ip);
        target.segment_limit().clamp(header, ip);
        let out = Outbound::new(now_ms, target)?;
        peer.rx.count_tun(ip.len());
        Ok(Inbound::ToClient { ip, out })
    }

    pub(super) fn route_packet(
        &self,
        now_ms: u64,
        ip: &mut [u8],
        largest: usize,
    ) -> Result<Outbound, DropReason> {
        let header = IpHeader::parse(ip).map_err(|_| DropReason::NotIp)?;
        check_unicast(header.destination)?;
        let peer = self.peer_at(header.destination).ok_or(DropReason::NoRoute)?;
        if !self.is_server(header.source) {
            // With client-to-client traffic off no client's address may come in from behind either.
            if !self.between_clients(header.source) && self.is_client(header.source) {
                return Err(DropReason::ClientToClient);
            }
            if !peer.may_receive(&header, ip) {
                return Err(DropReason::NotAuthorizedReverse);
            }
        }
        if largest > usize::from(peer.tun_mtu) {
            return Err(DropReason::TooBig);
        }
        peer.segment_limit().clamp(&header, ip);
        Outbound::new(now_ms, peer)
    }
}

/// A client may send only from its own addresses.
fn check_source(peer: &Peer, source: IpAddr) -> Result<(), DropReason> {
    if peer.holds(source) {
        return Ok(());
    }
    match source {
        // Router solicitations and address detection: every system sends them on a new interface.
        IpAddr::V6(v6) if v6.is_unicast_link_local() || v6.is_unspecified() => Err(DropReason::LinkLocal),
        _ => Err(DropReason::SourceAddress),
    }
}

/// Only unicast is routed.
fn check_unicast(destination: IpAddr) -> Result<(), DropReason> {
    match destination {
        IpAddr::V4(v4) if v4.is_multicast() || v4.is_broadcast() => Err(DropReason::Multicast),
        IpAddr::V6(v6) if v6.is_multicast() => Err(DropReason::Multicast),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(DropReason::LinkLocal),
        _ => Ok(()),
    }
}
