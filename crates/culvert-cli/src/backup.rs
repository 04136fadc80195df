//! `culvert backup` and `culvert restore`.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use culvert_config::{Config, DEFAULT_PATH};
use culvert_store::EmbeddedStore;
use serde_json::json;

use crate::output::Output;
use crate::setup::Daemon;

/// Arguments of `culvert backup`.
#[derive(Args)]
#[command(
    after_help = "The backup holds endpoints, certificates and their private keys: keep it as you keep \
    these. Endpoints of the configuration file, access keys and users are in files of their own."
)]
pub(crate) struct Backup {
    /// The file to write; it must not exist yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    daemon: Daemon,
}

impl Backup {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        // Made first: a wrong path is told before the daemon works.
        let target = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.file)
            .with_context(|| format!("cannot write {}", self.file.display()))?;
        let written = self.fetch(target);
        if written.is_err() {
            // Nobody should take half a backup for one.
            drop(fs::remove_file(&self.file));
        }
        let keys = written?;
        output.emit(&json!({ "file": self.file, "keys": keys }), || {
            format!("{} holds the store of managed endpoints", self.file.display())
        })
    }

    /// Has the daemon write a backup, and takes it. Returns how many keys it holds.
    fn fetch(&self, mut target: fs::File) -> anyhow::Result<u64> {
        let report = self.daemon.talk(async |admin| admin.backup().await)?;
        let taken = fs::File::open(&report.path).and_then(|mut source| {
            io::copy(&mut source, &mut target)?;
            target.sync_all()
        });
        drop(fs::remove_file(&report.path));
        taken.with_context(|| format!("cannot copy {} to {}", report.path.display(), self.file.display()))?;
        Ok(report.keys)
    }
}

/// Arguments of `culvert restore`.
#[derive(Args)]
#[command(after_help = "Stop the daemon first. What the store holds now is replaced as a whole.")]
pub(crate) struct Restore {
    /// A file that `culvert backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The daemon's configuration file, which names the state folder
    #[arg(long, value_name = "FILE", env = "CULVERT_CONFIG", default_value = DEFAULT_PATH)]
    config: PathBuf,
}

impl Restore {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let store = config.store_path();
        let folder = store.parent().unwrap_or_else(|| Path::new("."));
        if !folder.is_dir() {
            bail!(
                "there is no folder {}: start culvertd once, or make it, for the daemon's user only",
                folder.display()
            );
        }
        let contents = EmbeddedStore::restore(&self.file, &store)
            .with_context(|| format!("cannot restore {}", self.file.display()))?;
        output.emit(&json!({ "store": store, "keys": contents.keys }), || {
            format!("{} is what {} holds", store.display(), self.file.display())
        })
    }
}
