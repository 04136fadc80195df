//! `[[connect_handler]]`: who else is asked before clients are let in.

use std::time::Duration;

use super::document::Document;
use super::table::Table;
use super::values::{choice, duration, number, string, word};
use crate::config::FileKind;
use crate::endpoint::{ConnectHandler, FUNCTION_PREFIX, HandlerTarget};
use crate::error::Fault;

/// Longest name of a Lambda function.
const MAX_FUNCTION: usize = 64;
/// Longest and default time until an answer, as on AWS.
const LIMIT: Duration = Duration::from_secs(30);

/// Reads all handlers.
pub(super) fn connect_handlers(document: &Document<'_>, root: &Table<'_, '_>) -> Vec<ConnectHandler> {
    let mut handlers: Vec<ConnectHandler> = Vec::new();
    for table in root.tables("connect_handler") {
        let path = table.path.clone();
        let Some(handler) = connect_handler(table) else {
            continue;
        };
        if handlers.iter().any(|other| other.function == handler.function) {
            let message = format!("there is another handler {}", handler.function);
            let fault = Fault::new(message, "give each a name of its own");
            document.refuse_field(&path, fault.at("function"));
        }
        handlers.push(handler);
    }
    handlers
}

fn connect_handler(table: Table<'_, '_>) -> Option<ConnectHandler> {
    let cure = "write a name of your choice, as in function = \"AWSClientVPN-posture\"";
    let function = table.require("function", cure, |value| word(value, function_name));
    let target = target(&table);
    let versions = [("v1", 1), ("v2", 2), ("v3", 3)];
    let schema_version = table.read("schema_version", |value| choice(value, &versions));
    let forms = [("list", false), ("text", true)];
    let groups_as_text = table.read("groups", |value| choice(value, &forms));
    let timeout = table.read("timeout", limit);
    let concurrency = table.read("concurrency", |value| number::<u16>(value, 1, 1024));
    table.finish();
    Some(ConnectHandler {
        function: function?,
        target: target?,
        schema_version: schema_version.unwrap_or(3),
        groups_as_text: groups_as_text.unwrap_or(false),
        timeout: timeout.unwrap_or(LIMIT),
        concurrency: concurrency.unwrap_or(16),
    })
}

fn target(table: &Table<'_, '_>) -> Option<HandlerTarget> {
    let command = table.list("command", string);
    let url = table.read("url", |value| word(value, url));
    let ca = table.file("ca", FileKind::public("authority of the connect handler"));
    match (table.has("command"), table.has("url")) {
        (true, false) if table.has("ca") => {
            table.refuse_key(
                "ca",
                Fault::new("ca is given, but url is missing", "add url, or remove ca"),
            );
            None
        }
        (true, false) => program(table, command?),
        (false, true) => Some(HandlerTarget::Url { url: url?, ca }),
        (true, true) => {
            let fault = Fault::new("command and url are both given", "remove one of them");
            table.refuse_key("url", fault);
            None
        }
        (false, false) => {
            let cure = "add command = [\"/path/to/program\"] or url = \"https://...\"";
            table.refuse(Fault::new("the connect handler asks nobody", cure));
            None
        }
    }
}

fn program(table: &Table<'_, '_>, words: Vec<String>) -> Option<HandlerTarget> {
    let mut words = words.into_iter();
    match words.next().filter(|program| program.contains('/')) {
        Some(program) => Some(HandlerTarget::Command {
            program: table.folder().join(program),
            arguments: words.collect(),
        }),
        None => {
            let cure = "write [\"/path/to/program\", \"argument\"]; programs are not looked up in PATH";
            let fault = Fault::new("the command does not start with a path", cure);
            table.refuse_key("command", fault);
            None
        }
    }
}

/// The name of a Lambda function that Client VPN may call.
fn function_name(text: &str) -> Result<String, Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let rest = text.strip_prefix(FUNCTION_PREFIX).unwrap_or_default();
    if !rest.is_empty() && text.len() <= MAX_FUNCTION && rest.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    let cure = format!(
        "begin with {FUNCTION_PREFIX} and go on with letters, digits, - and _; {MAX_FUNCTION} characters at most"
    );
    Err(Fault::new(
        format!("{text:?} is not the name of a connect handler"),
        cure,
    ))
}

/// The address of a web service.
pub(super) fn url(text: &str) -> Result<String, Fault> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(text.to_owned())
        }
        _ => Err(Fault::new(
            format!("{text:?} is not the address of a web service"),
            "write it as in \"https://host/path\"",
        )),
    }
}

fn limit(value: &super::table::Value<'_, '_>) -> Result<Duration, Fault> {
    let limit = duration(value)?;
    if limit.is_zero() || limit > LIMIT {
        let message = format!("{limit:?} is out of range");
        return Err(Fault::new(
            message,
            "choose at most 30 seconds: clients wait no longer for long",
        ));
    }
    Ok(limit)
}
