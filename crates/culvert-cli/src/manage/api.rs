//! Calls of the API, and the arguments by which commands find it.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use culvert_config::{Config, DEFAULT_PATH};
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::client::{Client, Question};
use super::error::ManageError;
use super::form::Form;
use super::model::Page;
use super::xml;
use crate::output::Output;

/// Where the daemon's files of a running system are unless the configuration says otherwise.
const DEFAULT_RUN_DIR: &str = "/run/culvert";
/// The API's socket, there.
const SOCKET: &str = "api.sock";
/// The version of EC2's API.
const EC2_VERSION: &str = "2016-11-15";

/// How long to wait before asking a busy daemon again.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1000),
];

/// Which daemon is asked, and how its answers are printed.
#[derive(Args)]
pub(crate) struct ApiArguments {
    /// The API's socket [default: api.sock in the run_dir of the configuration, else in /run/culvert]
    #[arg(
        long,
        value_name = "PATH",
        env = "CULVERT_API_SOCKET",
        help_heading = "Daemon"
    )]
    api_socket: Option<PathBuf>,
    /// The daemon's configuration file [default: /etc/culvert/culvert.toml, if there is one]
    #[arg(long, value_name = "FILE", env = "CULVERT_CONFIG", help_heading = "Daemon")]
    config: Option<PathBuf>,
    /// How to print; `--output json` is the same as `--json`
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value = "text",
        help_heading = "Daemon"
    )]
    output: Style,
}

/// Forms of results.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    /// Tables for people
    Text,
    /// One JSON document
    Json,
}

impl ApiArguments {
    /// The API they name. From here on results are printed as they say.
    pub(crate) fn open(&self, output: &Output) -> anyhow::Result<Api> {
        if self.output == Style::Json {
            output.want_json();
        }
        let client = Client::new(&self.path()?).context("cannot start the runtime")?;
        Ok(Api { client })
    }

    fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.api_socket {
            return Ok(path.clone());
        }
        let config = match &self.config {
            Some(path) => Some((path.clone(), Config::load(path)?)),
            // Nobody asked for this file: if it does not load, the daemon may still be at the usual place.
            None => Config::load(DEFAULT_PATH)
                .ok()
                .map(|config| (DEFAULT_PATH.into(), config)),
        };
        let Some((path, config)) = config else {
            return Ok(PathBuf::from(DEFAULT_RUN_DIR).join(SOCKET));
        };
        anyhow::ensure!(
            config.api.is_some(),
            "{} has no [api], so the daemon serves no API: add the section and restart the daemon",
            path.display()
        );
        Ok(config.run_dir.join(SOCKET))
    }
}

/// The API of a daemon.
pub(crate) struct Api {
    client: Client,
}

impl Api {
    /// Carries out an action of EC2.
    pub(crate) fn call<T: DeserializeOwned>(&self, action: &str, form: &Form) -> Result<T, ManageError> {
        self.patiently(|| {
            let question = Question {
                content_type: "application/x-www-form-urlencoded; charset=utf-8",
                target: None,
                body: form.encode(action, EC2_VERSION),
            };
            let answer = self.client.ask(action, question)?;
            if answer.is_success {
                xml::answer(action, &answer.body)
            } else {
                Err(xml::refusal(action, &answer.body))
            }
        })
    }

    /// Asks again, a few times, where the daemon says that it only has too much to do: nothing was carried out then.
    fn patiently<T>(&self, mut ask: impl FnMut() -> Result<T, ManageError>) -> Result<T, ManageError> {
        for pause in PAUSES {
            match ask() {
                Err(error) if error.is_busy() => sleep(pause),
                other => return other,
            }
        }
        ask()
    }

    /// Lists everything an action of EC2 has, page by page.
    pub(crate) fn list<P: Page>(&self, action: &str, form: &Form) -> Result<Vec<P::Item>, ManageError> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page: P = self.call(action, &form.clone().with_some("NextToken", token.as_deref()))?;
            let (items, next) = page.split();
            all.extend(items);
            let next = next.filter(|next| !next.is_empty());
            if next.is_none() {
                return Ok(all);
            }
            if next == token {
                return Err(ManageError::Malformed {
                    action: action.to_owned(),
                    reason: "its pages have no end".to_owned(),
                });
            }
            token = next;
        }
    }

    /// Carries out an action of the certificate manager. The body may hold a private key.
    pub(crate) fn certificates(&self, action: &str, body: Zeroizing<Vec<u8>>) -> Result<Value, ManageError> {
        self.patiently(|| self.certificates_once(action, body.clone()))
    }

    fn certificates_once(&self, action: &str, body: Zeroizing<Vec<u8>>) -> Result<Value, ManageError> {
        let question = Question {
            content_type: "application/x-amz-json-1.1",
            target: Some(format!("CertificateManager.{action}")),
            body,
        };
        let answer = self.client.ask(action, question)?;
        let malformed = |reason: String| ManageError::Malformed {
            action: action.to_owned(),
            reason,
        };
        if answer.is_success && answer.body.is_empty() {
            return Ok(Value::Null);
        }
        let value: Value =
            serde_json::from_str(&answer.body).map_err(|error| malformed(error.to_string()))?;
        if answer.is_success {
            return Ok(value);
        }
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        match (text("__type"), text("message")) {
            (Some(code), Some(message)) => Err(ManageError::Refused { code, message }),
            _ => Err(malformed("it refuses without a reason".to_owned())),
        }
    }
}
