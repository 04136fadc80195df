//! What a panic leads to: the daemon ends in good order, and the service manager starts it anew. Threads and tasks that
//! panic die alone otherwise, and leave a daemon that listens but doesn't answer.

use std::panic::PanicHookInfo;
use std::thread;

use anyhow::anyhow;
use tokio::sync::mpsc;

/// From now on every panic is logged and reported to `fatal`.
pub(crate) fn watch(fatal: mpsc::Sender<anyhow::Error>) {
    std::panic::set_hook(Box::new(move |info| {
        let thread = thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(thread, place, "panicked: {}", message(info));
        report(&fatal, thread);
    }));
}

fn message<'i>(info: &'i PanicHookInfo<'_>) -> &'i str {
    let payload = info.payload();
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    formatted
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// Never waits: a full channel means that the daemon ends already.
fn report(fatal: &mpsc::Sender<anyhow::Error>, thread: &str) {
    drop(fatal.try_send(anyhow!(
        "thread {thread} panicked, which is a defect of culvertd; ending so that it can be started anew. Please report \
         it with the lines above"
    )));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_panics_is_reported_without_waiting() {
        let (fatal, mut failures) = mpsc::channel(1);
        report(&fatal, "worker-0-office");
        report(&fatal, "worker-1-office");
        let first = failures.try_recv().unwrap();
        assert!(first.to_string().contains("worker-0-office"), "{first}");
        assert!(failures.try_recv().is_err());
    }

    #[test]
    fn a_panic_in_a_thread_reaches_the_daemon() {
        let (fatal, mut failures) = mpsc::channel(4);
        watch(fatal);
        let ended = thread::Builder::new()
            .name("control-office".into())
            .spawn(|| panic!("made up"))
            .unwrap()
            .join();
        drop(std::panic::take_hook());
        assert!(ended.is_err());
        let failure = failures.try_recv().unwrap();
        assert!(failure.to_string().contains("control-office"), "{failure}");
    }
}
