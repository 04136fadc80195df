//! Handlers that are programs.

use std::time::Duration;

use culvert_process::{Ended, Program, Terms};
use zeroize::Zeroizing;

use crate::reason::{Reason, Refusal};

/// Where a program finds others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Most that is read of what a program says; an answer is far shorter.
const MAX_OUTPUT: usize = 64 * 1024;
/// Most of its complaints that are told, in characters.
const MAX_COMPLAINT: usize = 200;

/// Runs a program with the question. Returns what it says.
pub(crate) async fn ask(program: &Program, question: Vec<u8>, limit: Duration) -> Result<Vec<u8>, Refusal> {
    let terms = Terms {
        arguments: Vec::new(),
        variables: vec![("PATH".to_owned(), PATH.into())],
        input: Zeroizing::new(question),
        limit,
        max_output: MAX_OUTPUT,
    };
    let run = program.run(&terms).await;
    let path = program.path().display();
    match run.ended {
        Ended::Exited(status) if status.success() => Ok(run.stdout),
        Ended::Exited(status) => {
            let detail = format!("{path} failed ({status}){}", complaint(&run.stderr));
            Err(Refusal::without_answer(Reason::OtherExecutionError, detail))
        }
        Ended::TimedOut => {
            let detail = format!("{path} took longer than {limit:?} and was killed");
            Err(Refusal::without_answer(Reason::TimedOut, detail))
        }
        Ended::NotStarted(error) => {
            let detail = format!("{path} can't be started: {error}");
            Err(Refusal::without_answer(Reason::ServiceError, detail))
        }
    }
}

/// The last line of what a failed program complained about.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let clean: String = line
        .chars()
        .filter(|letter| !letter.is_control())
        .take(MAX_COMPLAINT)
        .collect();
    if clean.is_empty() {
        clean
    } else {
        format!(": {clean}")
    }
}
