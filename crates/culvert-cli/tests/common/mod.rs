//! Running `culvert` in a folder of its own.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;

/// A folder and the program.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `culvert` with these arguments, split at spaces, in the folder.
    pub(crate) fn run(&self, arguments: &str) -> Assert {
        self.feed(arguments, "")
    }

    /// The same with text on standard input.
    pub(crate) fn feed(&self, arguments: &str, input: &str) -> Assert {
        Command::new(env!("CARGO_BIN_EXE_culvert"))
            .args(arguments.split(' '))
            .current_dir(self.folder.path())
            .env("CULVERT_PKI", self.path("pki"))
            .env("CULVERT_CONFIG", self.path("culvert.toml"))
            .env_remove("CULVERT_SOCKET")
            .write_stdin(input)
            .assert()
    }

    /// Runs `culvert` successfully and returns what it printed.
    pub(crate) fn ok(&self, arguments: &str) -> String {
        stdout(&self.run(arguments).success())
    }

    /// Runs `culvert … --json` successfully and returns the document.
    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{arguments} --json"))).unwrap()
    }

    /// Runs `culvert`, expects that exit status, and returns what it wrote to standard error.
    pub(crate) fn fails(&self, arguments: &str, status: i32) -> String {
        let assert = self.run(arguments).code(status);
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    }

    /// Runs another program in the folder; `None` with a printed reason if it is not installed.
    pub(crate) fn other(&self, program: &str, arguments: &str) -> Option<(bool, String)> {
        let run = std::process::Command::new(program)
            .args(arguments.split(' '))
            .current_dir(self.folder.path())
            .output();
        let Ok(output) = run else {
            println!("skipped: {program} is not installed");
            return None;
        };
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Some((output.status.success(), text))
    }
}

pub(crate) fn stdout(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

/// Permission bits of a file.
pub(crate) fn mode(path: PathBuf) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
