//! Answers the server's login questions: certificate-only clients at once, passwords through the configured backends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use culvert_auth::{
    AuthBackend, Combine, CommandBackend, CommandOptions, Credentials, LocalOptions, LocalUsers, Verdict,
};
use culvert_config::{CertificateGroups, EndpointConfig, ExternalCommand, PasswordCheck};
use culvert_core::{AuthDecision, AuthRequest, Grant, Rejection};
use culvert_handler::{Admission, Handler};
use culvert_service::ConnectionId;
use zeroize::Zeroizing;

use super::connect_handler;
use super::granted::Granted;

/// A login that takes longer than its command may by this much is given up: the time it may have waited its turn.
const OVERTIME: Duration = Duration::from_secs(10);

/// Decides the logins of one endpoint.
#[derive(Debug)]
pub(crate) struct Logins {
    /// None where certificates alone decide.
    backend: Option<AuthBackend>,
    /// Who else is asked about new connections.
    handler: Option<Handler>,
    patience: Duration,
    granted: Arc<Granted>,
    config: EndpointConfig,
}

impl Logins {
    /// Opens the backends an endpoint's configuration names. `granted` outlives the configuration.
    ///
    /// # Errors
    /// Fails when the users file can't be read or the command or the connect handler can't be used.
    pub(crate) fn open(config: &EndpointConfig, run_dir: &Path, granted: Arc<Granted>) -> Result<Self> {
        let password = config.authentication.password();
        let backend = match password {
            None => None,
            Some(PasswordCheck::UsersFile(path)) => Some(AuthBackend::Local(users(config, path)?)),
            Some(PasswordCheck::Command(program)) => {
                Some(AuthBackend::Command(command(config, program, run_dir)?))
            }
            Some(PasswordCheck::Combined {
                users_file,
                command: program,
                combine,
            }) => Some(AuthBackend::Combined(
                users(config, users_file)?,
                command(config, program, run_dir)?,
                match combine {
                    culvert_config::Combine::Any => Combine::Any,
                    culvert_config::Combine::All => Combine::All,
                },
            )),
        };
        let of_command = password
            .and_then(PasswordCheck::command)
            .map_or(Duration::ZERO, |command| command.timeout);
        Ok(Self {
            backend,
            handler: connect_handler::open(config)?,
            patience: of_command + OVERTIME,
            granted,
            config: config.clone(),
        })
    }

    /// Decides one login. It is for this connection.
    pub(crate) async fn decide(&self, request: AuthRequest, connection: &ConnectionId) -> AuthDecision {
        let identity = identity(&request);
        match self.verdict(&request).await {
            Verdict::Accept {
                mut groups,
                static_v4,
                static_v6,
            } => {
                groups.extend_from_slice(self.groups_of_certificate(&request));
                let admission = match self.ask_handler(&request, connection, &groups).await {
                    Ok(admission) => admission,
                    Err(rejection) => return AuthDecision::Reject(rejection),
                };
                groups.extend(admission.groups);
                let fixed = identity
                    .as_deref()
                    .and_then(|identity| self.config.static_address(identity));
                AuthDecision::Accept(Grant {
                    username: request.username,
                    groups,
                    static_v4: static_v4.or_else(|| fixed.and_then(|fixed| fixed.v4)),
                    static_v6: static_v6.or_else(|| fixed.and_then(|fixed| fixed.v6)),
                    push: Vec::new(),
                    posture: admission.statuses,
                })
            }
            Verdict::Reject { log, client_message } => AuthDecision::Reject(Rejection {
                code: None,
                log,
                client_message,
                retry_after: None,
            }),
        }
    }

    /// The groups the client's certificate names, if it may.
    fn groups_of_certificate<'r>(&self, request: &'r AuthRequest) -> &'r [String] {
        let certificates = self.config.authentication.certificates();
        let kind = certificates.and_then(|certificates| certificates.groups);
        match (kind, &request.certificate) {
            (Some(CertificateGroups::OrganizationalUnit), Some(certificate)) => {
                &certificate.organizational_units
            }
            (Some(CertificateGroups::Organization), Some(certificate)) => &certificate.organizations,
            (_, None) | (None, _) => &[],
        }
    }

    /// Asks the connect handler, if there is one, about a new connection. Returns what it knows about the client.
    async fn ask_handler(
        &self,
        request: &AuthRequest,
        connection: &ConnectionId,
        groups: &[String],
    ) -> Result<Admission, Rejection> {
        match &self.handler {
            Some(handler) if !request.renegotiation => {
                connect_handler::ask(handler, &self.config.name, connection, request, groups).await
            }
            _ => Ok(Admission::default()),
        }
    }

    async fn verdict(&self, request: &AuthRequest) -> Verdict {
        let nothing = Verdict::Accept {
            groups: Vec::new(),
            static_v4: None,
            static_v6: None,
        };
        let Some(backend) = &self.backend else {
            return nothing;
        };
        let Some(username) = &request.username else {
            return rejection("the client sent no user name");
        };
        if request.token.is_some() {
            return self.verdict_on_token(backend, username);
        }
        let Some(password) = &request.password else {
            return rejection("the client sent no password");
        };
        let asked = backend.verify(self.credentials(request, username, password.expose()));
        match tokio::time::timeout(self.patience, asked).await {
            Ok(verdict) => {
                if !matches!(backend, AuthBackend::Local(_)) {
                    self.granted.note(username, &verdict);
                }
                verdict
            }
            Err(_elapsed) => rejection("the login backend gave no answer in time"),
        }
    }

    /// A token proves an earlier login. What the users file grants is looked up anew; a command is not asked again, so
    /// what it granted then is remembered.
    fn verdict_on_token(&self, backend: &AuthBackend, username: &str) -> Verdict {
        match backend {
            AuthBackend::Local(users) => return users.grants(username),
            AuthBackend::Combined(users, _, Combine::All) => {
                let of_file = users.grants(username);
                if matches!(of_file, Verdict::Reject { .. }) {
                    return of_file;
                }
            }
            AuthBackend::Command(_) | AuthBackend::Combined(..) => {}
        }
        match self.granted.of(username) {
            Some(granted) => granted,
            None if self.config.has_group_rules() => rejection(
                "the token is good, but the login it stands for was before the daemon's start and the groups the \
                 login command gave are not known any more; the user has to log in again",
            ),
            None => Verdict::Accept {
                groups: Vec::new(),
                static_v4: None,
                static_v6: None,
            },
        }
    }

    fn credentials(&self, request: &AuthRequest, username: &str, password: &str) -> Credentials {
        let certificate = request.certificate.as_ref();
        Credentials {
            endpoint: self.config.name.clone(),
            username: username.to_owned(),
            password: Zeroizing::new(password.to_owned()),
            common_name: certificate.map(|certificate| certificate.common_name.clone()),
            serial: certificate.map(|certificate| certificate.serial_decimal()),
            serial_hex: certificate.map(|certificate| certificate.serial_hex()),
            fingerprint: certificate.map(|certificate| certificate.fingerprint_hex()),
            remote: request.link.remote(),
            peer_info: request
                .peer_info
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

fn users(config: &EndpointConfig, path: &Path) -> Result<LocalUsers> {
    LocalUsers::open(LocalOptions::new(path))
        .with_context(|| format!("Failed to open the users file of endpoint {}", config.name))
}

fn command(config: &EndpointConfig, command: &ExternalCommand, run_dir: &Path) -> Result<CommandBackend> {
    let options = CommandOptions {
        arguments: command.arguments.clone(),
        timeout: command.timeout,
        scratch_folder: run_dir.join("login").join(&config.name),
        ..CommandOptions::new(&command.program)
    };
    CommandBackend::new(options)
        .with_context(|| format!("Failed to prepare the login command of endpoint {}", config.name))
}

/// The name static addresses are given to: the user, or the certificate where no user logs in.
fn identity(request: &AuthRequest) -> Option<String> {
    request.username.clone().or_else(|| {
        request
            .certificate
            .as_ref()
            .map(|certificate| certificate.common_name.clone())
    })
}

fn rejection(log: &str) -> Verdict {
    Verdict::Reject {
        log: log.to_owned(),
        client_message: None,
    }
}
