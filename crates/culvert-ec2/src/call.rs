//! One request, as it reaches the actions.

use std::fmt;

use culvert_query::params::Params;
use culvert_service::{LogChange, StreamNaming};
use time::OffsetDateTime;

/// One verified request.
pub struct Call<'a> {
    /// Its form.
    pub params: &'a Params,
    /// The id its answer carries.
    pub request_id: &'a str,
    /// The time.
    pub now: OffsetDateTime,
    /// Fresh random bytes for ids and tokens.
    pub random: &'a dyn Fn() -> [u8; 16],
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request_id", &self.request_id)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl Call<'_> {
    /// Adds what a log stream is named by whose group the caller named, but not the stream itself.
    pub(crate) fn name_stream(&self, log: &mut LogChange) {
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if given(&log.group) && !given(&log.stream) {
            let [random @ .., _, _, _, _] = (self.random)();
            log.naming = StreamNaming {
                now: self.now,
                random,
            };
        }
    }

    /// Fresh random bytes for the id of a resource.
    pub(crate) fn id_bytes(&self) -> [u8; 9] {
        let [id @ .., _, _, _, _, _, _, _] = (self.random)();
        id
    }
}
