//! A client's data channel: keys by id, the header its server wants, pings.

use std::time::{Duration, Instant};

use culvert_crypto::{DataCipher, Key2, Role};
use culvert_data::{DataFormat, DataKey, DropReason, Framing};
use culvert_wire::data::DataHeader;
use culvert_wire::{KeyId, PeerId};

/// What was agreed on with the options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataSettings {
    pub(crate) cipher: DataCipher,
    pub(crate) format: DataFormat,
    pub(crate) framing: Framing,
    pub(crate) peer: Option<PeerId>,
    pub(crate) ping: Option<Duration>,
    pub(crate) ping_restart: Option<Duration>,
}

/// The channel once it is up.
pub(crate) struct DataChannel {
    settings: DataSettings,
    keys: [Option<DataKey>; KeyId::COUNT],
    /// The keys there are and when their handshakes ended, newest last.
    ages: Vec<(KeyId, Instant)>,
    send_key: KeyId,
    pub(crate) last_rx: Instant,
    pub(crate) last_tx: Instant,
}

impl DataChannel {
    pub(crate) fn new(now: Instant, settings: DataSettings) -> Self {
        Self {
            settings,
            keys: Default::default(),
            ages: Vec::new(),
            send_key: KeyId::FIRST,
            last_rx: now,
            last_tx: now,
        }
    }

    pub(crate) fn install(&mut self, now: Instant, key_id: KeyId, key2: &Key2) -> Result<(), String> {
        let DataSettings { cipher, format, .. } = self.settings;
        let key = DataKey::new(cipher, format, Role::Client, key2).map_err(|error| error.to_string())?;
        self.remove(key_id);
        if let Some(place) = self.keys.get_mut(key_id.index()) {
            *place = Some(key);
        }
        self.ages.push((key_id, now));
        Ok(())
    }

    pub(crate) fn remove(&mut self, key_id: KeyId) {
        self.ages.retain(|(id, _)| *id != key_id);
        if let Some(place) = self.keys.get_mut(key_id.index()) {
            *place = None;
        }
    }

    /// Sends with the newest key that had `settle` to settle on both sides, or the newest if none had. Returns
    /// when to choose again.
    ///
    /// Source: OpenVPN 2.6 behaviour.
    pub(crate) fn choose_key(&mut self, now: Instant, settle: Duration) -> Option<Instant> {
        let (newest, since) = *self.ages.last()?;
        let settled = self.ages.iter().rev().find(|(_, since)| now >= *since + settle);
        self.send_key = settled.map_or(newest, |(key_id, _)| *key_id);
        (self.send_key != newest).then(|| since + settle)
    }

    pub(crate) fn send_key(&self) -> KeyId {
        self.send_key
    }

    /// Exact size of the packet that carries `payload` bytes.
    ///
    /// # Errors
    /// [`DropReason::NoKey`].
    pub(crate) fn sealed_len(&self, payload: usize) -> Result<usize, DropReason> {
        let framed = payload + self.settings.framing.len();
        Ok(self.sending_key()?.sealed_len(self.header().len, framed))
    }

    /// Appends one sealed packet to `out`.
    pub(crate) fn seal(&mut self, now: Instant, payload: &[u8], out: &mut Vec<u8>) -> Result<(), DropReason> {
        let start = out.len();
        out.resize(start + self.sealed_len(payload.len())?, 0);
        let sealed = self.seal_into(now, &[payload], out.get_mut(start..).unwrap_or_default());
        out.truncate(start + sealed.as_ref().copied().unwrap_or(0));
        sealed.map(drop)
    }

    /// Seals the concatenation of `parts` into the front of `out` and returns the packet's length.
    pub(crate) fn seal_into(
        &mut self,
        now: Instant,
        parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        let sealed = self
            .sending_key()?
            .seal_into(&self.header(), self.settings.framing, parts, out)?;
        self.last_tx = now;
        Ok(sealed)
    }

    fn sending_key(&self) -> Result<&DataKey, DropReason> {
        self.keys
            .get(self.send_key.index())
            .and_then(Option::as_ref)
            .ok_or(DropReason::NoKey)
    }

    fn header(&self) -> DataHeader {
        match self.settings.peer {
            Some(peer) => DataHeader::v2(self.send_key, peer),
            None => DataHeader::v1(self.send_key),
        }
    }

    /// Opens a packet in place.
    pub(crate) fn open<'p>(
        &mut self,
        now: Instant,
        packet: &'p mut [u8],
    ) -> Result<&'p mut [u8], DropReason> {
        let header = DataHeader::parse(packet).map_err(|_| DropReason::Malformed)?;
        let key = self
            .keys
            .get(header.key_id.index())
            .and_then(Option::as_ref)
            .ok_or(DropReason::UnknownKey)?;
        let opened = key.open(header.len, packet)?;
        self.last_rx = now;
        match (self.settings.framing, opened.payload) {
            (Framing::None, payload) => Ok(payload),
            (Framing::LzoByte, [culvert_data::UNCOMPRESSED, payload @ ..]) => Ok(payload),
            (Framing::LzoByte, _) => Err(DropReason::Compressed),
        }
    }

    /// When a ping is due, and when the server counts as gone.
    pub(crate) fn deadlines(&self) -> (Option<Instant>, Option<Instant>) {
        let DataSettings {
            ping, ping_restart, ..
        } = self.settings;
        (
            ping.map(|ping| self.last_tx + ping),
            ping_restart.map(|silence| self.last_rx + silence),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(now: Instant) -> DataChannel {
        let settings = DataSettings {
            cipher: DataCipher::Aes256Gcm,
            format: DataFormat::Aead,
            framing: Framing::None,
            peer: PeerId::new(7),
            ping: None,
            ping_restart: None,
        };
        let mut channel = DataChannel::new(now, settings);
        let mut bytes = [0; Key2::LEN];
        for (byte, number) in bytes.iter_mut().zip(0u8..=u8::MAX) {
            *byte = number;
        }
        channel
            .install(now, KeyId::FIRST, &Key2::from_exporter(bytes))
            .unwrap();
        channel
    }

    #[test]
    fn sealing_in_parts_into_a_slice_is_sealing_the_whole() {
        let now = Instant::now();
        let mut whole = Vec::new();
        channel(now).seal(now, b"headerpayload", &mut whole).unwrap();
        let mut channel = channel(now);
        let mut room = vec![0; channel.sealed_len(13).unwrap()];
        let len = channel
            .seal_into(now, &[b"header", b"payload"], &mut room)
            .unwrap();
        assert_eq!(len, room.len());
        assert_eq!(room, whole);
    }

    #[test]
    fn too_little_room_costs_no_packet_id() {
        let now = Instant::now();
        let mut first = Vec::new();
        channel(now).seal(now, b"payload", &mut first).unwrap();
        let mut channel = channel(now);
        assert_eq!(
            channel.seal_into(now, &[b"payload"], &mut [0; 8]),
            Err(DropReason::NoRoom)
        );
        let mut again = Vec::new();
        channel.seal(now, b"payload", &mut again).unwrap();
        assert_eq!(first, again);
    }

    #[test]
    fn without_a_key_nothing_is_sealed() {
        let now = Instant::now();
        let mut channel = channel(now);
        channel.remove(KeyId::FIRST);
        let mut out = vec![1];
        assert_eq!(channel.seal(now, b"payload", &mut out), Err(DropReason::NoKey));
        assert_eq!(out, [1]);
        assert_eq!(channel.sealed_len(7), Err(DropReason::NoKey));
    }
}
