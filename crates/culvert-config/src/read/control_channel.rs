//! What wraps the control channel.

use super::table::{Table, Value};
use super::values::{boolean, choice, number, word};
use crate::config::FileKind;
use crate::endpoint::{ControlChannel, Digest, KeyDirection, StaticKeyWrap, TlsAuth, TlsCryptV2};
use crate::error::Fault;

/// Reads `[endpoint.control_channel]`.
pub(super) fn control_channel(table: &Table<'_, '_>) -> Option<ControlChannel> {
    let table = table.table("control_channel")?;
    let tls_auth = table.table("tls_auth").and_then(|entry| {
        let key = entry.require_file("key", FileKind::secret("tls-auth key"));
        let direction = entry.read("direction", key_direction);
        let digest = entry.read("digest", |value| word(value, Digest::parse));
        entry.finish();
        Some(TlsAuth {
            key: key?,
            direction: direction.unwrap_or(KeyDirection::Zero),
            digest: digest.unwrap_or(Digest::Sha1),
        })
    });
    let tls_crypt = table.table("tls_crypt").and_then(|entry| {
        let key = entry.require_file("key", FileKind::secret("tls-crypt key"));
        entry.finish();
        key
    });
    let v2 = table.table("tls_crypt_v2").and_then(|entry| {
        let server_key = entry.require_file("server_key", FileKind::secret("tls-crypt-v2 server key"));
        let force_cookie = entry.read("force_cookie", boolean).unwrap_or(false);
        entry.finish();
        Some(TlsCryptV2 {
            server_key: server_key?,
            force_cookie,
        })
    });
    if tls_auth.is_some() && tls_crypt.is_some() {
        let message = "tls_auth and tls_crypt exclude each other: their packets look alike";
        table.refuse_key(
            "tls_auth",
            Fault::new(message, "keep one; tls_crypt_v2 may go with either"),
        );
        return None;
    }
    let wrap = tls_auth
        .map(StaticKeyWrap::TlsAuth)
        .or_else(|| tls_crypt.map(StaticKeyWrap::TlsCrypt));
    table.finish();
    Some(match (v2, wrap) {
        (Some(v2), wrap) => ControlChannel::TlsCryptV2(v2, wrap),
        (None, Some(wrap)) => ControlChannel::Static(wrap),
        (None, None) => ControlChannel::Plain,
    })
}

/// A direction as in OpenVPN, 0 or 1 with or without quotes, or `"both"` for none.
fn key_direction(value: &Value<'_, '_>) -> Result<KeyDirection, Fault> {
    let words = [
        ("0", KeyDirection::Zero),
        ("1", KeyDirection::One),
        ("both", KeyDirection::Both),
    ];
    match number::<u8>(value, 0, 1) {
        Ok(0) => Ok(KeyDirection::Zero),
        Ok(_) => Ok(KeyDirection::One),
        Err(_) => choice(value, &words).map_err(|_| {
            let cure = "write 0 (usual for servers), 1, or \"both\" when the clients have no key-direction";
            Fault::new("this is not a key direction", cure)
        }),
    }
}
