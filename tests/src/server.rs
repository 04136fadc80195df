//! A real `culvertd` in a lab's server namespace, with a configuration made for the test.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::endpoint::{EndpointPlan, config};
use crate::lab::Lab;
use crate::netns::run;
use crate::openvpn::Profile;
use crate::pki::{KeyKind, Leaf, Pki};
use crate::process::Logged;

/// The protection of the control channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// None.
    None,
    /// `tls-auth` with SHA256, server direction 0.
    TlsAuth,
    /// `tls-crypt`.
    TlsCrypt,
    /// `tls-crypt-v2`.
    TlsCryptV2,
}

/// The transport a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    /// UDP over IPv4.
    Udp,
    /// TCP over IPv4.
    Tcp,
}

/// A user of the users file.
#[derive(Debug)]
struct User {
    name: String,
    password: String,
    groups: Vec<String>,
}

/// A server that is not started yet.
#[derive(Debug)]
pub struct ServerPlan<'l> {
    lab: &'l Lab,
    pki: Pki,
    leaf_kind: KeyKind,
    endpoint: EndpointPlan,
    others: Vec<EndpointPlan>,
    users: Vec<User>,
    daemon: String,
    log_format: &'static str,
    descriptor_limit: Option<u32>,
}

/// A running server.
#[derive(Debug)]
pub struct Culvertd {
    process: Logged,
    dir: PathBuf,
    namespace: String,
    pki: Pki,
    leaf_kind: KeyKind,
    endpoints: Vec<EndpointPlan>,
    leaf: Leaf,
    descriptor_limit: Option<u32>,
}

impl Culvertd {
    /// A plan with the defaults of the tests: UDP and TCP on 443, client certificates, split tunnel to the lab's host.
    ///
    /// # Panics
    /// When no CA can be made; nothing works then.
    #[must_use]
    pub fn plan(lab: &Lab) -> ServerPlan<'_> {
        let pki =
            Pki::create(lab.dir(), "ca", KeyKind::P256).expect("a CA can be made in the lab's directory");
        ServerPlan {
            lab,
            pki,
            leaf_kind: KeyKind::P256,
            endpoint: EndpointPlan::new("lab", "10.66.0.0/24"),
            others: Vec::new(),
            users: Vec::new(),
            daemon: String::new(),
            log_format: "text",
            descriptor_limit: None,
        }
    }

    /// The CA certificate's file.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.pki.ca()
    }

    /// The CA.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// A profile with the certificate every test may use.
    #[must_use]
    pub fn profile(&self, proto: Proto) -> Profile {
        self.profile_with(proto, &self.leaf)
    }

    /// A profile with a new certificate of this name.
    ///
    /// # Errors
    /// Fails when the certificate can't be issued.
    pub fn profile_for(&self, proto: Proto, name: &str) -> Result<Profile> {
        Ok(self.profile_with(proto, &self.pki.client(name, self.leaf_kind)?))
    }

    /// A profile with this certificate.
    #[must_use]
    pub fn profile_with(&self, proto: Proto, leaf: &Leaf) -> Profile {
        let profile = match proto {
            Proto::Udp => Profile::udp(&self.ca(), &leaf.certificate, &leaf.key),
            Proto::Tcp => Profile::tcp(&self.ca(), &leaf.certificate, &leaf.key),
        };
        let key = |name: &str| self.dir.join(name).display().to_string();
        match self.wrap() {
            Wrap::None => profile,
            Wrap::TlsAuth => profile
                .line(&format!("tls-auth {} 1", key("static.key")))
                .line("auth SHA256"),
            Wrap::TlsCrypt => profile.line(&format!("tls-crypt {}", key("static.key"))),
            Wrap::TlsCryptV2 => profile.line(&format!("tls-crypt-v2 {}", key("v2-client.key"))),
        }
    }

    /// The first endpoint's protection of the control channel.
    fn wrap(&self) -> Wrap {
        self.endpoints.first().map_or(Wrap::None, |first| first.wrap)
    }

    /// Changes the endpoints of the configuration file and tells the server to read it again, as `systemctl reload`
    /// does. Returns when the signal is sent.
    ///
    /// # Errors
    /// Fails when the file can't be written or the server is gone.
    pub fn reload(&mut self, change: impl FnOnce(&mut Vec<EndpointPlan>)) -> Result<()> {
        change(&mut self.endpoints);
        self.write_config(&config(&self.endpoints))?;
        self.process.signal(Signal::SIGHUP)
    }

    /// Replaces the configuration file by this text.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub fn write_config(&self, text: &str) -> Result<()> {
        let path = self.dir.join("culvert.toml");
        std::fs::write(&path, text).with_context(|| format!("Failed to write {}", path.display()))
    }

    /// Runs `culvert user` with this action, and for all but `remove` with this password.
    ///
    /// # Errors
    /// Fails when it exits non-zero.
    pub fn user(&self, action: &str, name: &str, password: Option<&str>) -> Result<()> {
        user(&self.dir.join("users"), action, name, password, &[])
    }

    /// The process and its log.
    pub fn process(&mut self) -> &mut Logged {
        &mut self.process
    }

    /// Runs the `culvert` command against this server and returns its output.
    ///
    /// # Errors
    /// Fails when it exits non-zero.
    pub fn culvert(&self, args: &[&str]) -> Result<String> {
        let socket = self.dir.join("run/culvert.sock").display().to_string();
        let mut all: Vec<&str> = args.to_vec();
        all.extend_from_slice(&["--socket", &socket]);
        culvert(&all)
    }

    /// The clients the server lists, as `culvert status --clients --json` prints them.
    ///
    /// # Errors
    /// Fails when the server doesn't answer.
    pub fn clients(&self) -> Result<Vec<Value>> {
        let text = self.culvert(&["status", "--clients", "--json"])?;
        let value: Value = serde_json::from_str(&text).with_context(|| format!("Failed to parse {text}"))?;
        Ok(value["clients"].as_array().cloned().unwrap_or_default())
    }

    /// How many packets the first endpoint dropped for a reason so far, as `culvert status --json` counts them.
    ///
    /// # Errors
    /// Fails when the server doesn't answer.
    pub fn drops(&self, reason: &str) -> Result<u64> {
        let text = self.culvert(&["status", "--json"])?;
        let value: Value = serde_json::from_str(&text).with_context(|| format!("Failed to parse {text}"))?;
        Ok(value["endpoints"][0]["drops"][reason].as_u64().unwrap_or(0))
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// Fails when the process is gone.
    pub fn memory(&self) -> Result<u64> {
        self.process.memory()
    }

    /// CPU time spent so far, user and system.
    ///
    /// # Errors
    /// Fails when the process is gone.
    pub fn cpu(&self) -> Result<Duration> {
        self.process.cpu()
    }

    /// Starts the server again after it ended, with the same configuration.
    ///
    /// # Errors
    /// Fails when it doesn't come up.
    pub fn start_again(self) -> Result<Self> {
        let Self {
            dir,
            namespace,
            descriptor_limit,
            ..
        } = &self;
        let process = launch(namespace, dir, *descriptor_limit)?;
        Ok(Self { process, ..self })
    }

    /// Ends the server as the service manager would and checks that it went in good order.
    ///
    /// # Errors
    /// Fails when it doesn't end within seconds, or not with success, or has panicked.
    pub fn stop(mut self) -> Result<()> {
        let status = self.process.terminate()?;
        let log = self.process.log();
        ensure!(
            status.success(),
            "culvertd ended with {status}:\n{}",
            crate::process::tail(&log)
        );
        ensure!(!log.contains("panicked"), "culvertd panicked:\n{log}");
        Ok(())
    }
}

impl ServerPlan<'_> {
    /// Chooses the control channel's protection.
    #[must_use]
    pub fn wrap(mut self, wrap: Wrap) -> Self {
        self.endpoint.wrap = wrap;
        self
    }

    /// Uses keys of this kind for the CA, the server and clients.
    ///
    /// # Panics
    /// When no CA of that kind can be made.
    #[must_use]
    pub fn keys(mut self, kind: KeyKind) -> Self {
        self.pki = Pki::create(self.lab.dir(), "ca", kind).expect("a CA can be made in the lab's directory");
        self.leaf_kind = kind;
        self
    }

    /// Sets a key of the endpoint; the value is TOML.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.endpoint.set(key, value);
        self
    }

    /// Sets a key of the endpoint's authentication; the value is TOML.
    #[must_use]
    pub fn authentication(mut self, key: &str, value: &str) -> Self {
        self.endpoint.authentication(key, value);
        self
    }

    /// Adds a target network and a rule that admits everybody to it.
    #[must_use]
    pub fn target(mut self, cidr: &str) -> Self {
        self.endpoint.target(cidr);
        self
    }

    /// Adds a target network without a rule.
    #[must_use]
    pub fn network(mut self, cidr: &str) -> Self {
        self.endpoint.network(cidr);
        self
    }

    /// Adds a rule that admits everybody.
    #[must_use]
    pub fn rule(mut self, cidr: &str) -> Self {
        self.endpoint.rule(cidr);
        self
    }

    /// Replaces the rules by one that admits a group to a network.
    #[must_use]
    pub fn only_group(mut self, cidr: &str, group: &str) -> Self {
        self.endpoint.only_group(cidr, group);
        self
    }

    /// Leaves no rule: nobody may reach anything.
    #[must_use]
    pub fn deny_all(mut self) -> Self {
        self.endpoint.deny_all();
        self
    }

    /// Adds one more endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: EndpointPlan) -> Self {
        self.others.push(endpoint);
        self
    }

    /// Replaces client certificates by the users file with this user in it.
    #[must_use]
    pub fn with_user(self, name: &str, password: &str) -> Self {
        self.with_member(name, password, &[])
    }

    /// Like [`Self::with_user`], in these groups.
    #[must_use]
    pub fn with_member(mut self, name: &str, password: &str, groups: &[&str]) -> Self {
        self.users.push(User {
            name: name.to_owned(),
            password: password.to_owned(),
            groups: groups.iter().map(|group| format!("--group={group}")).collect(),
        });
        self.endpoint.users_file();
        self
    }

    /// Replaces client certificates by a login command with this text.
    ///
    /// # Panics
    /// When it can't be written to the lab's directory.
    #[must_use]
    pub fn with_command(mut self, script: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let path = self
            .lab
            .write("login-command", script)
            .expect("the lab's directory can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .expect("a file of ours can be made executable");
        self.endpoint.command(&path);
        self
    }

    /// Demands a certificate of the lab's CA as well: `"required"` or `"optional"`.
    #[must_use]
    pub fn and_certificate(self, policy: &str) -> Self {
        self.authentication("client_ca", "\"ca.crt\"")
            .authentication("client_certificate", &format!("\"{policy}\""))
    }

    /// Adds lines of TOML before the endpoints, for settings of the daemon. A [`Culvertd::reload`] leaves them out: they
    /// take effect at the start only.
    #[must_use]
    pub fn daemon(mut self, lines: &str) -> Self {
        self.daemon.push_str(lines);
        self
    }

    /// Writes the log as `"text"` or `"json"`.
    #[must_use]
    pub fn log_format(mut self, format: &'static str) -> Self {
        self.log_format = format;
        self
    }

    /// Limits the server's open files.
    #[must_use]
    pub fn descriptor_limit(mut self, limit: u32) -> Self {
        self.descriptor_limit = Some(limit);
        self
    }

    /// The CA.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Writes certificates, keys and configuration, and starts the server.
    ///
    /// # Errors
    /// Fails when a file can't be made or the server doesn't come up.
    pub fn start(self) -> Result<Culvertd> {
        let leaf = self.write_files()?;
        let dir = self.lab.dir().to_owned();
        let namespace = self.lab.server.name().to_owned();
        let process = launch(&namespace, &dir, self.descriptor_limit)?;
        Ok(Culvertd {
            process,
            dir,
            namespace,
            endpoints: self.endpoints(),
            pki: self.pki,
            leaf_kind: self.leaf_kind,
            leaf,
            descriptor_limit: self.descriptor_limit,
        })
    }

    /// Writes everything, lets the caller spoil it, and starts a server that must not come up. Returns how it ended
    /// and what it logged.
    ///
    /// # Errors
    /// Fails when a file can't be made or the server doesn't end.
    pub fn fail(self, spoil: impl FnOnce(&Path) -> Result<()>) -> Result<(ExitStatus, String)> {
        self.write_files()?;
        let dir = self.lab.dir();
        spoil(dir)?;
        let command = command(self.lab.server.name(), dir, self.descriptor_limit)?;
        let mut process = Logged::start("culvertd", command, &dir.join("culvertd.log"))?;
        let status = process.wait(Duration::from_secs(20))?;
        Ok((status, process.log()))
    }

    /// Every endpoint, the first one first.
    fn endpoints(&self) -> Vec<EndpointPlan> {
        std::iter::once(&self.endpoint)
            .chain(&self.others)
            .cloned()
            .collect()
    }

    /// Writes what the server needs. Returns the certificate every test may use.
    fn write_files(&self) -> Result<Leaf> {
        self.pki.server("server", self.leaf_kind)?;
        let leaf = self.pki.client("client", self.leaf_kind)?;
        self.keys_of_wrap()?;
        let dir = self.lab.dir();
        let format = format!("{}\n[log]\nformat = \"{}\"", self.daemon, self.log_format);
        let text = config(&self.endpoints()).replacen("[log]", &format, 1);
        std::fs::write(dir.join("culvert.toml"), text)?;
        for User {
            name,
            password,
            groups,
        } in &self.users
        {
            user(&dir.join("users"), "add", name, Some(password), groups)?;
        }
        Ok(leaf)
    }

    /// Keys come from the stock program, so that its formats are what is tested.
    fn keys_of_wrap(&self) -> Result<()> {
        let path = |name: &str| self.lab.path(name).display().to_string();
        match self.endpoint.wrap {
            Wrap::None => {}
            Wrap::TlsAuth | Wrap::TlsCrypt => {
                run("openvpn", &["--genkey", "secret", &path("static.key")])?;
            }
            Wrap::TlsCryptV2 => {
                let server = path("v2-server.key");
                run("openvpn", &["--genkey", "tls-crypt-v2-server", &server])?;
                let client = path("v2-client.key");
                run(
                    "openvpn",
                    &[
                        "--tls-crypt-v2",
                        &server,
                        "--genkey",
                        "tls-crypt-v2-client",
                        &client,
                    ],
                )?;
            }
        }
        Ok(())
    }
}

fn command(namespace: &str, dir: &Path, descriptor_limit: Option<u32>) -> Result<Command> {
    let culvertd = binary("culvertd")?;
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]);
    if let Some(limit) = descriptor_limit {
        command.args(["prlimit", &format!("--nofile={limit}:{limit}")]);
    }
    command
        .arg(culvertd)
        .arg("--config")
        .arg(dir.join("culvert.toml"));
    Ok(command)
}

fn launch(namespace: &str, dir: &Path, descriptor_limit: Option<u32>) -> Result<Logged> {
    let command = command(namespace, dir, descriptor_limit)?;
    let log = dir.join("culvertd.log");
    let already = std::fs::read_to_string(&log)
        .unwrap_or_default()
        .matches("culvertd is ready")
        .count();
    let mut process = Logged::start("culvertd", command, &log)?;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while process.log().matches("culvertd is ready").count() <= already {
        let ended = process.exit_status()?;
        ensure!(ended.is_none(), "culvertd ended at its start:\n{}", process.log());
        ensure!(
            std::time::Instant::now() < deadline,
            "culvertd is not ready:\n{}",
            process.log()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(process)
}

fn user(users: &Path, action: &str, name: &str, password: Option<&str>, groups: &[String]) -> Result<()> {
    use std::io::Write;
    let mut command = Command::new(binary("culvert")?);
    command
        .args(["user", action, name, "--users-file"])
        .arg(users)
        .args(groups);
    if password.is_some() {
        command.arg("--password-stdin");
    }
    let mut child = command.stdin(std::process::Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    if let Some(password) = password {
        input.write_all(format!("{password}\n").as_bytes())?;
    }
    drop(input);
    ensure!(child.wait()?.success(), "culvert user {action} failed");
    Ok(())
}

/// Runs the `culvert` command and returns its output.
///
/// # Errors
/// Fails when it exits non-zero.
pub fn culvert(args: &[&str]) -> Result<String> {
    run(&binary("culvert")?.display().to_string(), args)
}

/// A program of this workspace, built beside the tests; `CULVERT_BIN_DIR` names another place.
///
/// # Errors
/// Fails when it isn't there.
pub fn binary(name: &str) -> Result<PathBuf> {
    let dir = match std::env::var_os("CULVERT_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let test = std::env::current_exe()?;
            test.parent()
                .and_then(Path::parent)
                .context("no target directory")?
                .to_owned()
        }
    };
    let path = dir.join(name);
    ensure!(
        path.exists(),
        "{} is missing; scripts/test builds it",
        path.display()
    );
    Ok(path)
}
