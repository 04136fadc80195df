//! One line of the log for each request: who asked for what, and what became of it.
//!
//! Parameters are left out, they may be secrets.

use std::time::Instant;

use crate::answer::{Answer, SUCCESS};
use crate::peer::Peer;

/// Where these lines are found in the log.
const TARGET: &str = "culvert_api::audit";
/// Characters of an action's name that are logged.
const MAX_ACTION: usize = 64;
/// Characters of a reason that are logged.
const MAX_REASON: usize = 512;

/// What is known about a request. Written when it is answered, or when nobody waits for the answer any more.
pub(crate) struct Audit {
    /// The id its answer carries.
    pub(crate) request_id: String,
    peer: Peer,
    service: &'static str,
    action: String,
    caller: String,
    begun: Instant,
    written: bool,
}

impl Audit {
    /// A request arrives.
    pub(crate) fn begin(request_id: String, peer: Peer) -> Self {
        let caller = match peer {
            Peer::Local { uid } => format!("uid {uid}"),
            Peer::Network(_) => String::new(),
        };
        Self {
            request_id,
            peer,
            service: "",
            action: String::new(),
            caller,
            begun: Instant::now(),
            written: false,
        }
    }

    /// Whose access key signed it, proven.
    pub(crate) fn caller(&mut self, caller: String) {
        self.caller = caller;
    }

    /// Which service.
    pub(crate) fn service(&mut self, service: &'static str) {
        self.service = service;
    }

    /// What is asked for. Callers choose the text.
    pub(crate) fn action(&mut self, action: &str) {
        let plain = |letter: &char| letter.is_ascii_alphanumeric();
        self.action = action.chars().filter(plain).take(MAX_ACTION).collect();
    }

    /// The request is answered.
    pub(crate) fn finish(mut self, answer: &Answer) {
        self.write(answer.outcome, answer.status, answer.reason.as_deref());
    }

    fn write(&mut self, outcome: &str, status: u16, reason: Option<&str>) {
        self.written = true;
        let milliseconds = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let reason = reason.map(|reason| reason.chars().take(MAX_REASON).collect::<String>());
        let (request_id, action, service) = (&*self.request_id, &*self.action, self.service);
        let (caller, source) = (&*self.caller, self.peer.to_string());
        let message = if outcome == SUCCESS {
            "carried out"
        } else {
            "refused"
        };
        tracing::info!(target: TARGET, request_id, action, service, caller, source, outcome, status, milliseconds, reason,
            "{message}");
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        match (self.written, std::thread::panicking()) {
            (true, _) => {}
            (false, true) => self.write("InternalError", 500, Some("a defect ended the request")),
            (false, false) => self.write(
                "Abandoned",
                0,
                Some("the client left before its request was complete"),
            ),
        }
    }
}
