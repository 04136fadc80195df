//! One client's control channel under attack: an honest client, and somebody on the path who holds back, repeats,
//! damages and forges packets. The server's session never panics, stays within its memory and sends legal packets.
//!
//! The input is a program: one byte chooses what happens next, the bytes after it say how.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use arrayvec::ArrayVec;
use culvert_control::{Session, SessionEvent, SessionWrap, Start};
use culvert_crypto::{ControlWrap, SeededEntropy};
use culvert_fuzz::{CONFIGS, link, start};
use culvert_wire::control::{ControlBody, ControlHeader};
use culvert_wire::message::ControlMessage;
use culvert_wire::{FirstByte, MessageId, Now, SessionId};
use libfuzzer_sys::fuzz_target;

/// Steps of one program: each may cost a signature.
const MAX_STEPS: usize = 64;
/// What a session may keep on behalf of its peer: the longest key exchange message and a little more.
const MAX_BUFFERED: usize = 400 * 1024;

fuzz_target!(|program: &[u8]| {
    let mut world = World::new();
    let mut program = program;
    for _ in 0..MAX_STEPS {
        let Some((&step, rest)) = program.split_first() else {
            break;
        };
        program = world.step(step, rest);
        world.drain();
    }
});

struct World {
    now: Now,
    server: Session,
    client: Session,
    entropy: SeededEntropy,
    to_server: VecDeque<Vec<u8>>,
    to_client: VecDeque<Vec<u8>>,
    last: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let now = start();
        let mut entropy = SeededEntropy::new(1);
        let plain = || SessionWrap::new(ControlWrap::none());
        let client = Session::connect(CONFIGS.client.clone(), now, &mut entropy, plain(), &link(1));
        let server = Session::accept(
            CONFIGS.server.clone(),
            now,
            plain(),
            &link(1),
            SessionId::new([0x51; 8]).expect("not zero"),
            client.local_session(),
            Start::Reset,
        );
        let mut world = Self {
            now,
            server,
            client,
            entropy,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            last: Vec::new(),
        };
        world.drain();
        world
    }

    /// Does one step and returns the rest of the program.
    fn step<'p>(&mut self, step: u8, rest: &'p [u8]) -> &'p [u8] {
        let (argument, rest) = rest.split_first().map_or((0, rest), |(&byte, rest)| (byte, rest));
        match step % 9 {
            // Honest delivery of everything on the way, for a few round trips.
            0 => {
                for _ in 0..=argument % 8 {
                    self.deliver();
                }
            }
            // The next packet damaged.
            1 => {
                if let Some(mut packet) = self.to_server.pop_front() {
                    let at = usize::from(argument) % packet.len();
                    packet[at] ^= rest.first().copied().unwrap_or(1);
                    self.server_receives(packet);
                }
            }
            // The next packet lost, or the last one again.
            2 if argument & 1 == 0 => drop(self.to_server.pop_front()),
            2 => self.server_receives(self.last.clone()),
            // A forged packet with the right session ids.
            3 | 4 => return self.forge(step % 9 == 4, argument, rest),
            // Anything.
            5 => {
                let (packet, rest) = rest.split_at(usize::from(argument).min(rest.len()));
                self.server_receives(packet.to_vec());
                return rest;
            }
            6 => {
                self.now = self.now.later(Duration::from_millis(u64::from(argument) * 500));
                self.server.handle_timeout(self.now, &mut self.entropy);
                self.client.handle_timeout(self.now, &mut self.entropy);
            }
            7 => {
                let _ = self.server.negotiate(argument & 1 == 0, argument & 2 == 0);
                let _ = self.client.negotiate(argument & 1 == 0, argument & 2 == 0);
                let starter = if argument & 4 == 0 {
                    &mut self.server
                } else {
                    &mut self.client
                };
                let _ = starter.soft_reset(self.now);
            }
            _ => {
                let (text, rest) = rest.split_at(usize::from(argument).min(rest.len()));
                let _ = self.client.send_message(&[text, &[0]].concat());
                let _ = self.server.send_message(b"PUSH_REPLY,ping 10\0");
                return rest;
            }
        }
        rest
    }

    fn forge<'p>(&mut self, newest_key: bool, length: u8, rest: &'p [u8]) -> &'p [u8] {
        let Some((&[first, acks, id], rest)) = rest.split_first_chunk() else {
            return &[];
        };
        let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
        if let Ok(mut first) = FirstByte::parse(first) {
            if newest_key && !first.opcode.is_hard_reset() {
                first.key_id = self.server.current_key().0;
            }
            let session = self.client.local_session();
            let mut packet = ControlHeader { first, session }.encode().to_vec();
            let acks: ArrayVec<_, 8> = (0..acks % 9)
                .map(|n| MessageId(u32::from(acks / 9 + n)))
                .collect();
            let body = ControlBody {
                remote_session: (!acks.is_empty()).then(|| self.server.local_session()),
                acks,
                message_id: Some(MessageId(u32::from(id))),
                payload,
            };
            body.encode_into(&mut packet);
            self.server_receives(packet);
        }
        rest
    }

    fn server_receives(&mut self, mut packet: Vec<u8>) {
        let _ = self
            .server
            .handle_packet(self.now, &mut packet, &mut self.entropy);
        assert!(self.server.buffered_bytes() <= MAX_BUFFERED);
    }

    fn deliver(&mut self) {
        for packet in std::mem::take(&mut self.to_server) {
            self.last.clone_from(&packet);
            self.server_receives(packet);
        }
        self.drain();
        for mut packet in std::mem::take(&mut self.to_client) {
            let _ = self
                .client
                .handle_packet(self.now, &mut packet, &mut self.entropy);
        }
        self.drain();
    }

    fn drain(&mut self) {
        for (sender, way) in [
            (&mut self.server, &mut self.to_client),
            (&mut self.client, &mut self.to_server),
        ] {
            let mut sent = 0;
            while let Some(packet) = sender.poll_transmit(self.now) {
                sent += 1;
                assert!(
                    packet.len() + 28 <= 1250 && sent <= 64,
                    "{} bytes, packet {sent}",
                    packet.len()
                );
                way.push_back(packet);
                // The path loses what it cannot hold.
                way.truncate(64);
            }
            while let Some(event) = sender.poll_event() {
                if let SessionEvent::Message { record, .. } = event {
                    assert!(ControlMessage::parse_record(&record).count() <= record.len());
                }
            }
            assert!(
                sender.is_ended() || sender.poll_timeout().is_some() || sender.buffered_bytes() == 0,
                "what is unfinished has a deadline"
            );
        }
    }
}
