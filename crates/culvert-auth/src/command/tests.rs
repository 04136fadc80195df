//! Command backends with real shell scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use super::*;
use zeroize::Zeroizing;

struct Bench {
    folder: tempfile::TempDir,
    backend: CommandBackend,
}

impl Bench {
    /// A backend that runs `script` with the shell, so that no fresh file is executed (ETXTBSY).
    fn new(script: &str, timeout: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.sh");
        fs::write(&path, script).unwrap();
        let options = CommandOptions {
            program: "/bin/sh".into(),
            arguments: vec![
                path.to_str().unwrap().into(),
                folder.path().to_str().unwrap().into(),
            ],
            timeout,
            max_concurrent: 4,
            scratch_folder: folder.path().join("scratch"),
        };
        let backend = CommandBackend::new(options).unwrap();
        Self { folder, backend }
    }

    async fn verify(&self) -> Verdict {
        self.backend.verify(credentials()).await
    }

    /// A file the script wrote into its folder `$1`.
    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    fn assert_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.folder.path().join("scratch"))
            .unwrap()
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn credentials() -> Credentials {
    Credentials {
        endpoint: "office".into(),
        username: "alice".into(),
        password: Zeroizing::new("pass word;$(id)".into()),
        common_name: Some("laptop".into()),
        serial: Some("4660".into()),
        serial_hex: Some("12:34".into()),
        fingerprint: Some("aa:bb".into()),
        remote: "[::ffff:198.51.100.7]:1194".parse().unwrap(),
        peer_info: vec![
            ("IV_VER".into(), "2.6.14".into()),
            ("LD_PRELOAD".into(), "/x".into()),
        ],
    }
}

fn log_of(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Reject { log, .. } => log,
        Verdict::Accept { .. } => "accepted",
    }
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_command_gets_file_and_environment_as_stock_gives_them() {
    let bench = Bench::new(
        "cat \"$2\" > $1/seen; stat -c %a \"$2\" > $1/mode; stat -c %a \"$(dirname $2)\" >> $1/mode; env > $1/env",
        LONG,
    );
    let verdict = bench.verify().await;
    assert_eq!(
        verdict,
        Verdict::Accept {
            groups: vec![],
            static_v4: None,
            static_v6: None
        }
    );
    assert_eq!(bench.file("seen"), "alice\npass word;$(id)\n");
    assert_eq!(bench.file("mode"), "600\n700\n");
    let environment = bench.file("env");
    for line in [
        "common_name=laptop",
        "untrusted_ip=198.51.100.7",
        "untrusted_port=1194",
        "username=alice",
        "tls_serial_0=4660",
        "tls_serial_hex_0=12:34",
        "script_type=user-pass-verify",
        "IV_VER=2.6.14",
        "culvert_endpoint=office",
    ] {
        assert!(
            environment.lines().any(|found| found == line),
            "{line} in {environment}"
        );
    }
    assert!(
        !environment.contains("pass word"),
        "the password is in the file only"
    );
    assert!(
        !environment.contains("LD_PRELOAD") && !environment.contains("CARGO"),
        "{environment}"
    );
    bench.assert_clean();
}

#[tokio::test]
async fn a_refusal_carries_the_reason_the_command_wrote() {
    let bench = Bench::new("echo 'Account expired' > $auth_failed_reason_file; exit 1", LONG);
    let expected = Verdict::Reject {
        log: "the login command refused (exit status 1)".into(),
        client_message: Some("Account expired".into()),
    };
    assert_eq!(bench.verify().await, expected);
    bench.assert_clean();
}

#[tokio::test]
async fn accepted_users_get_what_the_command_grants() {
    let bench = Bench::new(
        "printf 'group=dev\\naddress=10.8.0.7\\n' > $culvert_grants_file",
        LONG,
    );
    let expected = Verdict::Accept {
        groups: vec!["dev".into()],
        static_v4: Some("10.8.0.7".parse().unwrap()),
        static_v6: None,
    };
    assert_eq!(bench.verify().await, expected);
    let bench = Bench::new("echo admin > $culvert_grants_file", LONG);
    assert!(log_of(&bench.verify().await).contains("grants file is wrong"));
}

#[tokio::test]
async fn other_statuses_and_signals_refuse_and_name_themselves() {
    for (script, expected) in [
        ("exit 2", "decide later"),
        ("exit 77", "exit status 77"),
        ("kill -TERM $$", "signal 15"),
        ("rm -r $(dirname $2); exit 1", "exit status 1"),
        (
            "rm $auth_failed_reason_file; ln -s /etc/passwd $auth_failed_reason_file; exit 1",
            "exit status 1",
        ),
    ] {
        let bench = Bench::new(script, LONG);
        let verdict = bench.verify().await;
        assert!(log_of(&verdict).contains(expected), "{script}: {verdict:?}");
        assert!(
            matches!(
                verdict,
                Verdict::Reject {
                    client_message: None,
                    ..
                }
            ),
            "{verdict:?}"
        );
        bench.assert_clean();
    }
}

#[tokio::test]
async fn a_command_over_time_is_killed_with_its_children() {
    let bench = Bench::new("sleep 600 & echo $! > $1/child; wait", Duration::from_millis(500));
    let started = Instant::now();
    let verdict = bench.verify().await;
    assert!(log_of(&verdict).contains("longer than 500ms"), "{verdict:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
    let child = bench.file("child");
    let alive = || {
        fs::read_to_string(format!("/proc/{}/stat", child.trim())).is_ok_and(|stat| !stat.contains(") Z "))
    };
    for _ in 0..100 {
        if !alive() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!alive(), "the grandchild lives on");
    bench.assert_clean();
}

#[tokio::test]
async fn a_login_given_up_kills_the_command_and_cleans_up() {
    let bench = Bench::new("echo $$ > $1/pid; sleep 600", LONG);
    let given_up = tokio::time::timeout(Duration::from_millis(500), bench.verify()).await;
    assert!(given_up.is_err());
    bench.assert_clean();
    let pid = bench.file("pid");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

#[tokio::test]
async fn floods_of_output_and_background_processes_do_not_hold_a_login_up() {
    let bench = Bench::new("head -c 10000000 /dev/zero; sleep 5 & exit 0", LONG);
    let started = Instant::now();
    assert!(matches!(bench.verify().await, Verdict::Accept { .. }));
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn passwords_that_would_forge_lines_are_refused() {
    let bench = Bench::new("exit 0", LONG);
    for password in ["a\nb", "a\r", "a\0b"] {
        let mut forged = credentials();
        forged.password = Zeroizing::new(password.into());
        assert!(log_of(&bench.backend.verify(forged).await).contains("line end"));
    }
}

#[test]
fn programs_that_cannot_be_trusted_or_run_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("program");
    let new = |path: &Path| {
        let mut options = CommandOptions::new(path);
        options.scratch_folder = folder.path().join("scratch");
        CommandBackend::new(options)
    };
    assert!(matches!(
        new(Path::new("login.sh")),
        Err(CommandError::Program(UnfitProgram::Relative(_)))
    ));
    assert!(matches!(
        new(&file),
        Err(CommandError::Program(UnfitProgram::Missing { .. }))
    ));
    fs::write(&file, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(
        new(&file),
        Err(CommandError::Program(UnfitProgram::NotExecutable(_)))
    ));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        new(&file),
        Err(CommandError::Program(UnfitProgram::Writable(_)))
    ));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(new(&file).is_ok());
}

#[test]
fn what_a_dead_daemon_left_is_removed_and_what_a_live_one_uses_stays() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("login-4294967295-abc");
    let live = folder.path().join(format!("login-{}-abc", std::process::id()));
    for path in [&dead, &live] {
        fs::create_dir(path).unwrap();
    }
    scratch::prepare(folder.path()).unwrap();
    assert!(!dead.exists() && live.exists());
}
