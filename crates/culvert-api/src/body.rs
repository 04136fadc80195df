//! Reading bodies, within bounds.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::api::Api;

/// Bodies up to this size are read from whoever may connect at all; larger ones share a budget.
const SMALL_BODY: usize = 64 * 1024;
/// How long, and how far, a body is received that nobody wants.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 16 << 20;

/// Why there is no body.
pub(crate) enum Unread {
    TooLarge,
    /// Others have large bodies just now.
    Busy,
    /// It takes too long.
    Slow,
    /// The connection failed.
    Gone,
}

/// Reads a body, which may hold secrets. What it takes of the budget for large ones is given back with the permit.
pub(crate) async fn read<'a>(
    api: &'a Api,
    body: &mut Incoming,
) -> Result<(Zeroizing<Vec<u8>>, Option<SemaphorePermit<'a>>), Unread> {
    let limit = api.limits.body_bytes;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Unread::TooLarge);
    }
    let mut budget: Option<SemaphorePermit<'a>> = None;
    // A buffer that grows leaves copies behind: those that may hold a private key are small, and don't grow.
    let mut read = Zeroizing::new(Vec::with_capacity(announced.min(SMALL_BODY)));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Gone)?.into_data() else {
            continue;
        };
        let size = read.len().saturating_add(data.len());
        if size > limit {
            return Err(Unread::TooLarge);
        }
        if size > SMALL_BODY {
            let more = u32::try_from(data.len()).map_err(|_| Unread::TooLarge)?;
            let more = api
                .gates
                .large_bodies
                .try_acquire_many(more)
                .map_err(|_| Unread::Busy)?;
            match &mut budget {
                Some(budget) => budget.merge(more),
                None => budget = Some(more),
            }
        }
        read.extend_from_slice(&data);
    }
    Ok((read, budget))
}

/// Lets a body that nobody wants arrive all the same, for a while: to a client that is still sending, the end of the
/// connection would be an error of the network, and the answer lost.
pub(crate) fn linger(mut body: Incoming) {
    tokio::spawn(timeout(LINGER, async move {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(size) else {
                return;
            };
            left = rest;
        }
    }));
}
