//! `culvert completion` and `culvert man`: what shells and manuals show of the commands, written from the commands
//! themselves.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use serde_json::json;

use crate::output::Output;

/// Shells that complete commands.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

/// Arguments of `culvert completion`.
#[derive(Args)]
#[command(after_help = "Bash: culvert completion bash > /etc/bash_completion.d/culvert")]
pub(crate) struct Completion {
    /// The shell
    shell: Kind,
}

impl Completion {
    pub(crate) fn run(&self, mut command: Command, output: &Output) -> anyhow::Result<()> {
        let shell = match self.shell {
            Kind::Bash => Shell::Bash,
            Kind::Zsh => Shell::Zsh,
            Kind::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "culvert", &mut script);
        output.raw(&String::from_utf8(script)?)
    }
}

/// Arguments of `culvert man`.
#[derive(Args)]
#[command(after_help = "All commands: culvert man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Folder to write the pages to, one for each command; pages that are there are replaced
    folder: PathBuf,
}

impl Man {
    pub(crate) fn run(&self, command: Command, output: &Output) -> anyhow::Result<()> {
        let folder = self.folder.display();
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot make the folder {folder}"))?;
        clap_mangen::generate_to(command, &self.folder)
            .with_context(|| format!("cannot write the pages to {folder}"))?;
        output.emit(&json!({ "folder": self.folder }), || {
            format!("wrote the pages to {folder}")
        })
    }
}
