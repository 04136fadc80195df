//! Control messages the server composes, ready to send.

use std::time::Duration;

use culvert_wire::challenge::{DynamicChallenge, PendingMethod};
use culvert_wire::message::{AuthFailed, ControlMessage};
use culvert_wire::peer_info::PeerInfo;

use crate::event::DisconnectReason;

/// `AUTH_FAILED`, with a reason the person at the client gets to see.
pub(crate) fn auth_failed(reason: Option<&str>) -> Vec<u8> {
    encoded(reason.map_or(AuthFailed::Plain, |reason| AuthFailed::Reason(reason.to_owned())))
}

/// A refusal after which the client tries again by itself, if it is one that can.
pub(crate) fn auth_failed_for_now(peer: &PeerInfo, retry: Duration, reason: Option<&str>) -> Vec<u8> {
    if !peer.iv_proto().auth_fail_temp() {
        return auth_failed(reason);
    }
    let backoff = u32::try_from(retry.as_secs()).ok();
    encoded(AuthFailed::Temporary {
        backoff,
        advance: None,
        reason: reason.map(str::to_owned),
    })
}

/// The token is of no use any more; the client asks for the password again.
pub(crate) fn token_expired() -> Vec<u8> {
    encoded(AuthFailed::Session("token expired".into()))
}

/// A question to be answered with the next connection. `None` if it can't be put into a message.
pub(crate) fn challenge(challenge: DynamicChallenge) -> Option<Vec<u8>> {
    AuthFailed::Challenge(challenge).encode().ok()
}

/// Asks the client for patience, and offers the first way to proceed that it knows.
pub(crate) fn pending(peer: &PeerInfo, timeout: Duration, methods: &[PendingMethod]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let seconds = u32::try_from(timeout.as_secs())
        .ok()
        .filter(|_| peer.iv_proto().auth_pending_kw());
    messages.extend(ControlMessage::AuthPending { timeout: seconds }.encode());
    let known = |method: &&PendingMethod| peer.iv_sso().any(|name| name == method.sso_name());
    let offered = methods
        .iter()
        .find(known)
        .and_then(|method| method.message().ok());
    messages.extend(offered.and_then(|message| message.encode().ok()));
    messages
}

/// What a client that was let in is told when it has to go. `None`: it is gone, or leaves by itself.
pub(crate) fn farewell(reason: &DisconnectReason, disconnect_on_timeout: bool) -> Option<Vec<u8>> {
    let restart = |text: Option<&str>| ControlMessage::Restart {
        keep_password: false,
        next_server: false,
        reason: text.map(str::to_owned),
    };
    let halt = |text: Option<&str>| ControlMessage::Halt {
        reason: text.map(str::to_owned),
    };
    let message = match reason {
        DisconnectReason::ClientExit | DisconnectReason::LinkClosed => return None,
        // Whoever still listens connects anew at once instead of waiting out its own timer.
        DisconnectReason::PingTimeout => restart(Some("keepalive timeout")),
        DisconnectReason::SessionTimeout if disconnect_on_timeout => halt(Some("session timeout")),
        DisconnectReason::SessionTimeout => restart(Some("session timeout")),
        DisconnectReason::Inactive => halt(Some("inactivity timeout")),
        DisconnectReason::Replaced => halt(Some("replaced by a newer connection of the same user")),
        DisconnectReason::Reauthentication(_) => return Some(auth_failed(None)),
        DisconnectReason::Revoked => return Some(auth_failed(Some("The client certificate was revoked"))),
        DisconnectReason::KeysExhausted | DisconnectReason::ControlChannel(_) => restart(None),
        DisconnectReason::Restarted(text) => restart(text.as_deref()),
        DisconnectReason::Terminated(text) => halt(text.as_deref()),
        DisconnectReason::Shutdown => restart(Some("server shutdown")),
    };
    message.encode().ok()
}

fn encoded(failure: AuthFailed) -> Vec<u8> {
    // Reasons are made fit for sending, so only challenges can fail; the plain form is right for those too.
    failure.encode().unwrap_or_else(|_| b"AUTH_FAILED\0".to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &[u8]) -> &str {
        std::str::from_utf8(message).unwrap()
    }

    #[test]
    fn a_temporary_refusal_is_plain_for_clients_that_would_not_understand() {
        let retry = Duration::from_secs(7);
        let old = auth_failed_for_now(&PeerInfo::parse("IV_PROTO=6\n"), retry, Some("full"));
        assert_eq!(text(&old), "AUTH_FAILED,full\0");
        let new = auth_failed_for_now(&PeerInfo::parse("IV_PROTO=990\n"), retry, Some("full"));
        assert_eq!(text(&new), "AUTH_FAILED,TEMP[backoff 7]:full\0");
    }

    #[test]
    fn a_pending_client_is_offered_only_what_it_can_show() {
        let methods = [
            PendingMethod::WebAuth {
                flags: String::new(),
                url: "https://login.example/".into(),
            },
            PendingMethod::OpenUrl("https://login.example/".into()),
        ];
        let timeout = Duration::from_secs(180);
        let peer = PeerInfo::parse("IV_PROTO=990\nIV_SSO=openurl,crtext\n");
        let messages = pending(&peer, timeout, &methods);
        assert_eq!(text(&messages[0]), "AUTH_PENDING,timeout 180\0");
        assert_eq!(text(&messages[1]), "INFO_PRE,OPEN_URL:https://login.example/\0");
        let silent = pending(&PeerInfo::parse("IV_PROTO=6\n"), timeout, &methods);
        assert_eq!(silent, [b"AUTH_PENDING\0".to_vec()]);
    }

    #[test]
    fn the_end_of_a_session_says_whether_to_come_back() {
        let told = |reason, disconnect| farewell(&reason, disconnect).unwrap();
        assert_eq!(
            text(&told(DisconnectReason::SessionTimeout, true)),
            "HALT,session timeout\0"
        );
        assert_eq!(
            text(&told(DisconnectReason::SessionTimeout, false)),
            "RESTART,session timeout\0"
        );
        assert_eq!(farewell(&DisconnectReason::ClientExit, true), None);
    }
}
