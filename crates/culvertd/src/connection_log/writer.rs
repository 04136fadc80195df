//! The writer of one log group: a thread, as disks may take their time, behind a queue of limited length.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use culvert_auth::AccessKeyFile;
use culvert_cloudwatch::{CloudWatchLog, Options};
use culvert_config::{LogGroup, LogSink};
use culvert_connection_log::{FileLog, JOURNAL_SOCKET, JournalLog, Record};
use time::OffsetDateTime;

/// Records that wait to be written at most. More than that, and the disk doesn't keep up for good.
const QUEUE: usize = 8192;
/// How often a group that can't be written to is told of again.
const REMINDER: Duration = Duration::from_secs(600);

/// A record, and the stream it is for.
type Item = (String, Record);

/// Towards the thread that writes a group.
pub(super) struct Writer {
    sink: LogSink,
    running: Mutex<Option<Running>>,
    /// Those for which the queue had no room, until the thread tells of them.
    overflow: Arc<AtomicU64>,
}

struct Running {
    queue: SyncSender<Item>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Opens a group and starts the thread that writes it, which ends when this is gone. What has to wait for a service does
    /// so below `spools`.
    ///
    /// # Errors
    /// Fails when the group can't be written to.
    pub(super) fn start(group: &LogGroup, spools: &Path) -> Result<Self> {
        let log = Log::open(group, spools)?;
        let (queue, items) = sync_channel(QUEUE);
        let overflow = Arc::new(AtomicU64::new(0));
        let work = Work {
            group: group.name.clone(),
            log,
            overflow: Arc::clone(&overflow),
            trouble: None,
        };
        let thread = std::thread::Builder::new()
            .name("connection-log".into())
            .spawn(move || work.run(&items))
            .context("Failed to start the thread that writes it")?;
        Ok(Self {
            sink: group.sink.clone(),
            running: Mutex::new(Some(Running { queue, thread })),
            overflow,
        })
    }

    /// Where it writes to.
    pub(super) fn sink(&self) -> &LogSink {
        &self.sink
    }

    /// Hands over a record, or counts it as lost.
    pub(super) fn write(&self, stream: String, record: Record) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let handed = running
            .as_ref()
            .is_some_and(|running| running.queue.try_send((stream, record)).is_ok());
        if !handed {
            self.overflow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the thread once all is written. `false` if that takes longer than this: it is left behind.
    pub(super) fn close(&self, deadline: Instant) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { queue, thread }) = running else {
            return true;
        };
        drop(queue);
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // A panic was reported when it happened.
        thread.join().is_ok()
    }
}

/// What a group is kept in.
enum Log {
    Files(FileLog),
    Journal(JournalLog),
    CloudWatch(CloudWatchLog),
}

impl Log {
    fn open(group: &LogGroup, spools: &Path) -> Result<Self> {
        match &group.sink {
            LogSink::Files { folder, rotation } => {
                Ok(Self::Files(FileLog::open(folder, &group.name, *rotation)?))
            }
            LogSink::Journal => {
                let socket = Path::new(JOURNAL_SOCKET);
                Ok(Self::Journal(JournalLog::open(socket, &group.name)?))
            }
            LogSink::CloudWatch {
                endpoint,
                region,
                access_key_file,
                spool_size,
            } => {
                let file = AccessKeyFile::read(access_key_file)?;
                let key = file.keys().first().with_context(|| {
                    format!(
                        "There is no access key in {}; write one with id and secret under [[access_key]]",
                        access_key_file.display()
                    )
                })?;
                let options = Options {
                    endpoint: endpoint.clone(),
                    region: region.clone(),
                    access_key: key.id().to_owned(),
                    secret: key.expose_secret().clone(),
                    spool_size: *spool_size,
                };
                // A slash can't be in the name of a folder, and no group has a plus in its own.
                let folder = spools.join(group.name.replace('/', "+"));
                Ok(Self::CloudWatch(CloudWatchLog::open(
                    &folder,
                    &group.name,
                    options,
                )?))
            }
        }
    }

    fn append(&mut self, stream: &str, record: &Record) -> Result<()> {
        match self {
            Self::Files(files) => files.append(stream, &record.line(), OffsetDateTime::now_utc())?,
            Self::Journal(journal) => journal.append(stream, record)?,
            Self::CloudWatch(service) => {
                let millis = record.at.unix_timestamp().saturating_mul(1000);
                service.append(stream, millis, &record.line())?;
            }
        }
        Ok(())
    }
}

/// What the thread has.
struct Work {
    group: String,
    log: Log,
    overflow: Arc<AtomicU64>,
    trouble: Option<Trouble>,
}

/// Writing has failed, and hasn't succeeded since.
struct Trouble {
    lost: u64,
    told: Instant,
}

impl Work {
    fn run(mut self, items: &Receiver<Item>) {
        while let Ok((stream, record)) = items.recv() {
            match self.log.append(&stream, &record) {
                Ok(()) => self.succeeded(),
                Err(error) => self.failed(&error, Instant::now()),
            }
            self.tell_overflow();
        }
        self.tell_overflow();
        self.succeeded();
    }

    fn succeeded(&mut self) {
        if let Some(Trouble { lost, .. }) = self.trouble.take() {
            tracing::warn!(
                group = self.group,
                lost,
                "the connection log could not be written for a while; records were lost"
            );
        }
    }

    fn failed(&mut self, error: &anyhow::Error, now: Instant) {
        let trouble = self.trouble.get_or_insert(Trouble { lost: 0, told: now });
        trouble.lost += 1;
        if trouble.lost == 1 || now.duration_since(trouble.told) >= REMINDER {
            trouble.told = now;
            let lost = trouble.lost;
            tracing::error!(
                group = self.group,
                lost,
                "the connection log can't be written, records are lost: {error}"
            );
        }
    }

    fn tell_overflow(&self) {
        let lost = self.overflow.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                group = self.group,
                lost,
                "connection log records came faster than they could be written and were lost; a faster disk, or a longer \
                 update_interval, helps"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;
    use culvert_config::Rotation;

    #[test]
    fn a_full_queue_makes_nobody_wait_and_is_counted() {
        // Nobody empties this queue.
        let (queue, _items) = sync_channel(2);
        let overflow = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            sink: LogSink::Files {
                folder: "/".into(),
                rotation: Rotation::default(),
            },
            running: Mutex::new(Some(Running {
                queue,
                thread: std::thread::spawn(|| {}),
            })),
            overflow: Arc::clone(&overflow),
        };
        (0..5).for_each(|_| writer.write("s".into(), record(1)));
        assert_eq!(overflow.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn what_could_not_be_written_is_counted_until_it_can_be_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut work = Work {
            group: "g".into(),
            log: Log::Files(FileLog::open(folder.path(), "g", Rotation::default()).unwrap()),
            overflow: Arc::default(),
            trouble: None,
        };
        let error = || anyhow::anyhow!("the disk is full");
        let now = Instant::now();
        work.failed(&error(), now);
        work.failed(&error(), now + REMINDER / 2);
        let trouble = work.trouble.as_ref().unwrap();
        assert_eq!((trouble.lost, trouble.told), (2, now));
        work.failed(&error(), now + REMINDER);
        assert_eq!(work.trouble.as_ref().unwrap().told, now + REMINDER);
        work.succeeded();
        assert!(work.trouble.is_none());
    }
}
