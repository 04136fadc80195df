//! Handlers that are real programs and real web services.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::question::tests::question;

const ALLOW: &str = r#"{"allow": true, "error-msg-on-denied-connection": "",
    "posture-compliance-statuses": ["compliant"], "schema-version": "v3"}"#;
const DENY: &str = r#"{"allow": false, "error-msg-on-denied-connection": "Update your device.",
    "posture-compliance-statuses": ["outdated"], "schema-version": "v3"}"#;

fn shell(script: &str) -> HandlerOptions {
    HandlerOptions::new(Target::Program {
        path: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
    })
}

async fn ask(options: HandlerOptions) -> Result<Admission, Refusal> {
    Handler::new(options).unwrap().ask(&question()).await
}

/// Serves one answer to each of so many connections; returns the address.
async fn serve(times: usize, answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for _ in 0..times {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let n = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..n]).into_owned();
            assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
            assert!(request.contains("content-type: application/json"), "{request}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

fn response(head: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn ask_web(answer: String) -> Result<Admission, Refusal> {
    let url = serve(1, answer).await;
    ask(HandlerOptions::new(Target::Web { url, authority: None })).await
}

#[tokio::test]
async fn a_program_reads_the_question_and_allows() {
    let allow = ALLOW.replace("\"v3\"", "\"v3\", \"groups\": [\"night\"]");
    let script = format!("grep -q '\"username\":\"ana\"' && echo '{allow}'");
    let admission = Admission {
        statuses: vec!["compliant".to_owned()],
        groups: vec!["night".to_owned()],
    };
    assert_eq!(ask(shell(&script)).await, Ok(admission));
}

#[tokio::test]
async fn what_a_program_denies_is_told_in_its_words() {
    let refusal = ask(shell(&format!("echo '{DENY}'"))).await.unwrap_err();
    assert_eq!(
        (refusal.reason.name(), refusal.message.as_str()),
        ("client-connect-failed", "Update your device.")
    );
    assert_eq!(refusal.statuses, ["outdated"]);
    let silent = DENY.replace("Update your device.", "");
    let refusal = ask(shell(&format!("echo '{silent}'"))).await.unwrap_err();
    assert_eq!(refusal.message, DEFAULT_MESSAGE);
}

#[tokio::test]
async fn a_program_that_does_not_answer_refuses() {
    for (script, reason, detail) in [
        (
            "echo 'no space left' >&2; exit 7",
            Reason::OtherExecutionError,
            "no space left",
        ),
        ("kill -9 $$", Reason::OtherExecutionError, "signal"),
        ("echo hello", Reason::InvalidResponse, "can't be used"),
        ("yes | head -c 1000000", Reason::InvalidResponse, "can't be used"),
        ("true", Reason::InvalidResponse, "EOF"),
    ] {
        let refusal = ask(shell(script)).await.unwrap_err();
        assert_eq!(refusal.reason, reason, "{script}: {}", refusal.detail);
        assert!(refusal.detail.contains(detail), "{script}: {}", refusal.detail);
        assert_eq!(refusal.message, DEFAULT_MESSAGE);
    }
}

#[tokio::test]
async fn a_program_that_hangs_is_given_up_and_those_who_wait_behind_it_too() {
    let mut options = shell("sleep 60");
    options.limit = Duration::from_millis(200);
    options.concurrency = 2;
    let handler = std::sync::Arc::new(Handler::new(options).unwrap());
    let start = Instant::now();
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let handler = std::sync::Arc::clone(&handler);
            tokio::spawn(async move { handler.ask(&question()).await.unwrap_err().reason })
        })
        .collect();
    for one in asked {
        assert_eq!(one.await.unwrap(), Reason::TimedOut);
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_web_service_is_asked_by_post() {
    assert_eq!(
        ask_web(response("200 OK", ALLOW)).await,
        Ok(Admission {
            statuses: vec!["compliant".to_owned()],
            groups: Vec::new()
        })
    );
    let refusal = ask_web(response("200 OK", DENY)).await.unwrap_err();
    assert_eq!(refusal.message, "Update your device.");
}

#[tokio::test]
async fn a_web_service_that_does_not_answer_refuses() {
    for (answer, reason) in [
        (response("429 Too Many Requests", ""), Reason::Throttled),
        (response("500 Internal Server Error", ""), Reason::ServiceError),
        (
            response("302 Found\r\nlocation: http://192.0.2.1/", ""),
            Reason::ServiceError,
        ),
        (
            response("200 OK\r\nx-amz-function-error: Unhandled", "{}"),
            Reason::OtherExecutionError,
        ),
        (response("200 OK", "<html>"), Reason::InvalidResponse),
        (response("200 OK", &" ".repeat(100_000)), Reason::InvalidResponse),
        ("nonsense\r\n\r\n".to_owned(), Reason::ServiceError),
    ] {
        let refusal = ask_web(answer.clone()).await.unwrap_err();
        assert_eq!(refusal.reason, reason, "{answer:.40}: {}", refusal.detail);
    }
    let nobody = Target::Web {
        url: "http://127.0.0.1:1/".to_owned(),
        authority: None,
    };
    let refusal = ask(HandlerOptions::new(nobody)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::ServiceError);
    assert!(refusal.detail.contains("refused"), "{}", refusal.detail);
}

#[test]
fn addresses_and_authorities_are_checked_before_anybody_is_asked() {
    for (url, authority, part) in [
        ("ftp://example.com/", None, "neither http"),
        ("example", None, "neither http"),
        ("http://", None, "url"),
        ("https://example.com/", Some(b"text".to_vec()), "no certificate"),
    ] {
        let target = Target::Web {
            url: url.to_owned(),
            authority,
        };
        let error = Handler::new(HandlerOptions::new(target)).unwrap_err().to_string();
        assert!(error.contains(part), "{url}: {error}");
    }
}
