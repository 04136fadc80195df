//! A handler, whatever it is.

use std::time::Duration;

use culvert_process::{Gate, Program, UnfitProgram};
use hyper::Uri;
use tokio::time::timeout;

use crate::answer::Answer;
use crate::program;
use crate::question::{GroupsForm, Question, SchemaVersion};
use crate::reason::{DEFAULT_MESSAGE, Reason, Refusal};
use crate::web::Web;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A program.
    Program {
        /// Absolute path.
        path: std::path::PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// A web service.
    Web {
        /// `http://` or `https://`.
        url: String,
        /// Who must have issued its certificate, PEM; `None`: whom the system trusts.
        authority: Option<Vec<u8>>,
    },
}

/// Settings of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerOptions {
    /// What is asked.
    pub target: Target,
    /// Form of the questions.
    pub schema_version: SchemaVersion,
    /// How groups are written.
    pub groups_form: GroupsForm,
    /// Longest time until the answer, waiting for a turn included.
    pub limit: Duration,
    /// How many are asked at a time.
    pub concurrency: usize,
}

impl HandlerOptions {
    /// Settings for `target`: the newest form, 30 s as AWS has it, 16 at a time.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            schema_version: SchemaVersion::default(),
            groups_form: GroupsForm::default(),
            limit: Duration::from_secs(30),
            concurrency: 16,
        }
    }
}

/// Why a handler can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// The program can't be run.
    #[error("the connect handler can't be used: {0}")]
    Program(#[from] UnfitProgram),
    /// The address isn't one.
    #[error("the connect handler's url {url:?} must be like https://host/path: {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing to check its certificate by.
    #[error("the authority of the connect handler {url} can't be used: {source}")]
    Authority {
        /// The service.
        url: String,
        /// Why.
        source: std::io::Error,
    },
}

/// A handler that is asked about clients.
#[derive(Debug)]
pub struct Handler {
    backend: Backend,
    options: HandlerOptions,
    gate: Gate,
}

#[derive(Debug)]
enum Backend {
    Program(Program),
    Web(Box<Web>),
}

/// What a handler says of a client that may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// What it found out about the device, in its own words.
    pub statuses: Vec<String>,
    /// Groups the client is in beside those its login leads to.
    pub groups: Vec<String>,
}

impl Handler {
    /// Checks what is to be asked; asks nothing yet.
    ///
    /// # Errors
    /// [`HandlerError`], by what is wrong.
    pub fn new(options: HandlerOptions) -> Result<Self, HandlerError> {
        let backend = match &options.target {
            Target::Program { path, arguments } => Backend::Program(Program::new(path, arguments.clone())?),
            Target::Web { url, authority } => {
                let web = Web::new(parse(url)?, authority.as_deref());
                Backend::Web(Box::new(web.map_err(|source| HandlerError::Authority {
                    url: url.clone(),
                    source,
                })?))
            }
        };
        Ok(Self {
            backend,
            gate: Gate::new(options.concurrency),
            options,
        })
    }

    /// Asks whether a client may connect. Returns what the handler knows about it.
    ///
    /// # Errors
    /// [`Refusal`] if it may not, or if there is no answer that says so.
    pub async fn ask(&self, question: &Question) -> Result<Admission, Refusal> {
        let limit = self.options.limit;
        match timeout(limit, self.ask_in_turn(question)).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                let detail = format!("the connect handler did not answer within {limit:?}");
                Err(Refusal::without_answer(Reason::TimedOut, detail))
            }
        }
    }

    async fn ask_in_turn(&self, question: &Question) -> Result<Admission, Refusal> {
        let Some(_turn) = self.gate.enter().await else {
            let detail = "too many clients wait for the connect handler";
            return Err(Refusal::without_answer(Reason::Throttled, detail));
        };
        let json = question
            .to_json(self.options.schema_version, self.options.groups_form)
            .map_err(|error| Refusal::without_answer(Reason::ServiceError, error.to_string()))?;
        let said = match &self.backend {
            Backend::Program(program) => program::ask(program, json, self.options.limit).await?,
            Backend::Web(web) => web.ask(json).await?,
        };
        let answer = Answer::parse(&said).map_err(|malformed| {
            let detail = format!("the connect handler's answer can't be used: {malformed}");
            Refusal::without_answer(Reason::InvalidResponse, detail)
        })?;
        judge(answer)
    }
}

fn judge(answer: Answer) -> Result<Admission, Refusal> {
    if answer.allow {
        return Ok(Admission {
            statuses: answer.statuses,
            groups: answer.groups,
        });
    }
    let message = if answer.message.trim().is_empty() {
        DEFAULT_MESSAGE.to_owned()
    } else {
        answer.message
    };
    Err(Refusal {
        reason: Reason::Denied,
        detail: "the connect handler denied the connection".to_owned(),
        message,
        statuses: answer.statuses,
    })
}

fn parse(url: &str) -> Result<Uri, HandlerError> {
    let refuse = |reason: String| HandlerError::Url {
        url: url.to_owned(),
        reason,
    };
    let uri: Uri = url
        .parse()
        .map_err(|error: hyper::http::uri::InvalidUri| refuse(error.to_string()))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
        _ => Err(refuse("it is neither http nor https".to_owned())),
    }
}

#[cfg(test)]
mod tests;
