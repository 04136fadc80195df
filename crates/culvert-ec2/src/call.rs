//! One request, as it reaches the actions.

use std::fmt;

use culvert_query::params::Params;
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
    /// Fresh random bytes for the id of a resource.
    pub(crate) fn id_bytes(&self) -> [u8; 9] {
        let [id @ .., _, _, _, _, _, _, _] = (self.random)();
        id
    }
}
