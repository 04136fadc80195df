//! Delivery to a stand-in for the service, which checks signatures, goes away and comes back.

// Helpers of tests: a panic is how they fail.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use culvert_cloudwatch::{CloudWatchLog, Options};
use culvert_query::sigv4::{Credential, Verifier};
use culvert_query::{Method, Request};
use serde_json::Value;
use time::OffsetDateTime;
use zeroize::Zeroizing;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[derive(Default)]
struct Service {
    groups: BTreeSet<String>,
    streams: BTreeMap<String, Vec<String>>,
}

/// Listens until it is dropped.
struct StandIn {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl StandIn {
    fn start(address: &str, service: &Arc<Mutex<Service>>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, service) = (Arc::clone(&stop), Arc::clone(service));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                answer(stream.unwrap(), &service);
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

fn answer(stream: TcpStream, service: &Mutex<Service>) {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "POST / HTTP/1.1\r\n");
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_owned(), value.as_bytes().to_vec()));
    }
    let value = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name == wanted).unwrap();
        String::from_utf8(found.1.clone()).unwrap()
    };
    let mut body = vec![0; value("content-length").parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let fields: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
    let request = Request {
        method: Method::Post,
        path: "/",
        query: "",
        headers: &fields,
        body: &body,
    };
    let known = |key: &str| {
        (key == KEY).then(|| Credential {
            secret: Zeroizing::new(SECRET.to_owned()),
            session_token: None,
        })
    };
    Verifier::new(Some("us-east-1".to_owned()), ["logs"])
        .verify(&request, &known, OffsetDateTime::now_utc())
        .unwrap();
    assert_eq!(value("content-type"), "application/x-amz-json-1.1");
    let (status, text) = serve(&value("x-amz-target"), &body, &mut service.lock().unwrap());
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    (&stream).write_all(answer.as_bytes()).unwrap();
}

fn serve(target: &str, body: &[u8], service: &mut Service) -> (u16, String) {
    let request: Value = serde_json::from_slice(body).unwrap();
    let group = request["logGroupName"].as_str().unwrap().to_owned();
    let stream = request["logStreamName"].as_str().map(str::to_owned);
    let refuse = |code: &str| (400, format!("{{\"__type\":\"{code}\",\"message\":\"no\"}}"));
    match target.strip_prefix("Logs_20140328.").unwrap() {
        "CreateLogGroup" if !service.groups.insert(group) => refuse("ResourceAlreadyExistsException"),
        "CreateLogStream" => {
            service.streams.insert(stream.unwrap(), Vec::new());
            (200, String::new())
        }
        "PutLogEvents" => {
            let events = request["logEvents"].as_array().unwrap();
            if events.iter().any(|event| event["message"] == "poison") {
                return refuse("InvalidParameterException");
            }
            let Some(kept) = service.streams.get_mut(&stream.unwrap()) else {
                return refuse("ResourceNotFoundException");
            };
            let text = |event: &Value| event["message"].as_str().unwrap().to_owned();
            kept.extend(events.iter().map(text));
            (200, "{}".to_owned())
        }
        _ => (200, String::new()),
    }
}

fn open(folder: &Path, address: SocketAddr) -> CloudWatchLog {
    let options = Options {
        endpoint: format!("http://{address}"),
        region: "us-east-1".into(),
        access_key: KEY.into(),
        secret: Zeroizing::new(SECRET.to_owned()),
        spool_size: 1 << 20,
    };
    CloudWatchLog::open(folder, "/vpn/office", options).unwrap()
}

fn kept(service: &Mutex<Service>, stream: &str) -> Vec<String> {
    service
        .lock()
        .unwrap()
        .streams
        .get(stream)
        .cloned()
        .unwrap_or_default()
}

fn eventually(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < deadline, "not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_is_lost_while_the_service_is_away_and_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let service = Arc::new(Mutex::new(Service::default()));
    let stand_in = StandIn::start("127.0.0.1:0", &service);
    let address = stand_in.address;
    let mut log = open(folder.path(), address);
    log.append("a", 1, "one").unwrap();
    log.append("b", 2, "other").unwrap();
    eventually(|| kept(&service, "a") == ["one"] && kept(&service, "b") == ["other"]);
    drop(stand_in);
    log.append("a", 3, "two").unwrap();
    // It is away for longer than events wait for others.
    std::thread::sleep(Duration::from_secs(3));
    log.append("a", 4, "three").unwrap();
    drop(log);
    assert!(
        std::fs::read_dir(folder.path()).unwrap().count() > 1,
        "they wait on disk"
    );
    let mut log = open(folder.path(), address);
    log.append("a", 5, "four").unwrap();
    let _back = StandIn::start(&address.to_string(), &service);
    eventually(|| kept(&service, "a") == ["one", "two", "three", "four"]);
    log.append("a", 6, "five").unwrap();
    drop(log);
    assert_eq!(
        kept(&service, "a").last().map(String::as_str),
        Some("five"),
        "the end delivers"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_the_service_will_never_take_does_not_hold_up_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let service = Arc::new(Mutex::new(Service::default()));
    let stand_in = StandIn::start("127.0.0.1:0", &service);
    let mut log = open(folder.path(), stand_in.address);
    log.append("a", 1, "poison").unwrap();
    std::thread::sleep(Duration::from_secs(3));
    log.append("a", 2, "good").unwrap();
    eventually(|| kept(&service, "a") == ["good"]);
}

#[test]
fn an_address_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        endpoint: "logs".repeat(2) + " x",
        region: "us-east-1".into(),
        access_key: KEY.into(),
        secret: Zeroizing::new(SECRET.to_owned()),
        spool_size: 1 << 20,
    };
    let refused = CloudWatchLog::open(folder.path(), "g", options).err().unwrap();
    assert!(refused.to_string().contains("not the address"), "{refused}");
}
