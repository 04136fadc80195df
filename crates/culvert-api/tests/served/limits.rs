//! Callers that want too much, or too slowly.

use std::time::Duration;

use culvert_api::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::client::{Request, exchange, read};
use crate::lab::Lab;

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const SOON: Duration = Duration::from_millis(300);
/// Longer than anything takes here, however busy the machine is, and shorter than the limits that are not tried.
const PATIENCE: Duration = Duration::from_secs(8);

fn impatient() -> Limits {
    Limits {
        head_time: SOON,
        body_time: SOON,
        idle_time: SOON,
        stop_time: SOON,
        ..Limits::default()
    }
}

/// Whether the other side ends the connection soon.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let lab = Lab::new();
    let served = lab.serve();
    let large = "x".repeat(Limits::default().body_bytes + 1);
    let answer = lab.signer("ec2").form(&large).send(&served.address).await;
    answer.is_refused(413, "MalformedQueryString");
    // Without a length, it is noticed on the way.
    let mut request = lab.signer("ec2").form(&large);
    let mut bytes = format!("{:x}\r\n", request.body.len()).into_bytes();
    bytes.append(&mut request.body);
    bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    let head = String::from_utf8(request.bytes()).unwrap();
    let head = head.replace("content-length: 0", "transfer-encoding: chunked");
    let stream = TcpStream::connect(&served.address).await.unwrap();
    let answer = exchange(stream, &[head.as_bytes(), &bytes].concat()).await;
    answer.is_refused(413, "MalformedQueryString");
}

#[tokio::test]
async fn a_client_that_is_refused_while_it_sends_gets_its_answer() {
    let lab = Lab::new();
    let served = lab.serve();
    let bytes = Request::post(&"x".repeat(1 << 20)).bytes();
    let mut stream = TcpStream::connect(&served.address).await.unwrap();
    stream.write_all(&bytes[..200]).await.unwrap();
    sleep(SOON).await;
    stream.write_all(&bytes[200..]).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.contains("MissingAuthenticationToken"), "{answer}");
}

#[tokio::test]
async fn a_large_body_is_taken_and_the_budget_comes_back() {
    let limits = Limits {
        large_body_bytes: 2 << 20,
        ..Limits::default()
    };
    let lab = Lab::with(limits);
    let served = lab.serve();
    let large = format!("{WHO}&Padding={}", "x".repeat(3 << 19));
    for _ in 0..4 {
        let answer = lab.signer("sts").form(&large).send(&served.address).await;
        answer.is_refused(400, "UnknownParameter");
    }
    let larger = format!("{WHO}&Padding={}", "x".repeat(3 << 20));
    let answer = lab.signer("sts").form(&larger).send(&served.address).await;
    answer.is_refused(503, "RequestLimitExceeded");
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let lab = Lab::new();
    let served = lab.serve();
    let long = Request::new("GET", "/").header("x", &"y".repeat(20_000));
    assert_eq!(long.send(&served.address).await.status, 431);
    let mut many = Request::new("GET", "/");
    for number in 0..100 {
        many = many.header(&format!("x-{number}"), "y");
    }
    assert_eq!(many.send(&served.address).await.status, 431);
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    let lab = Lab::with(impatient());
    let served = lab.serve();
    let mut silent = TcpStream::connect(&served.address).await.unwrap();
    let mut half = TcpStream::connect(&served.address).await.unwrap();
    half.write_all(b"POST / HTTP/1.1\r\nhost: a\r\n").await.unwrap();
    let mut idle = TcpStream::connect(&served.address).await.unwrap();
    let kept = String::from_utf8(Request::new("GET", "/").bytes()).unwrap();
    idle.write_all(kept.replace("connection: close\r\n", "").as_bytes())
        .await
        .unwrap();
    for stream in [&mut silent, &mut half, &mut idle] {
        assert!(is_closed(stream).await);
    }
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let lab = Lab::with(impatient());
    let served = lab.serve();
    let bytes = lab.signer("sts").form(WHO).bytes();
    let mut stream = TcpStream::connect(&served.address).await.unwrap();
    stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    let answer = timeout(PATIENCE, read(stream)).await.unwrap();
    answer.is_refused(408, "MalformedQueryString");
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_is_given_up() {
    let lab = Lab::with(impatient());
    let served = lab.serve();
    let mut stream = TcpStream::connect(&served.address).await.unwrap();
    let one = String::from_utf8(Request::new("GET", "/").bytes()).unwrap();
    let one = one.replace("connection: close\r\n", "");
    // Sends until the server takes no more, and is cut off then.
    while timeout(PATIENCE, stream.write_all(one.as_bytes()))
        .await
        .unwrap()
        .is_ok()
    {}
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_to_come_back_and_then_closed() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let lab = Lab::with(limits);
    let served = lab.serve();
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(TcpStream::connect(&served.address).await.unwrap());
    }
    sleep(SOON).await;
    let request = lab.signer("sts").form(WHO);
    request
        .send(&served.address)
        .await
        .is_refused(503, "RequestLimitExceeded");
    let unsigned = Request::post("{}").header("x-amz-target", "CertificateManager.ListCertificates");
    let answer = unsigned.send(&served.address).await;
    assert_eq!(
        (answer.status, &answer.json()["__type"]),
        (503, &"ThrottlingException".into())
    );
    for _ in 0..16 {
        held.push(TcpStream::connect(&served.address).await.unwrap());
    }
    sleep(SOON).await;
    let mut last = TcpStream::connect(&served.address).await.unwrap();
    assert!(is_closed(&mut last).await);
    held.clear();
    let taken_again = async {
        while request.send(&served.address).await.status != 200 {
            sleep(SOON).await;
        }
    };
    timeout(PATIENCE, taken_again).await.unwrap();
}

#[tokio::test]
async fn requests_beyond_the_limit_are_told_to_come_back() {
    let limits = Limits {
        requests: 0,
        ..Limits::default()
    };
    let lab = Lab::with(limits);
    let served = lab.serve();
    let answer = lab.signer("ec2").form(WHO).send(&served.address).await;
    answer.is_refused(503, "RequestLimitExceeded");
    let limits = Limits {
        threads: 0,
        wait_time: SOON,
        ..Limits::default()
    };
    let lab = Lab::with(limits);
    let served = lab.serve();
    let answer = lab.signer("ec2").form(WHO).send(&served.address).await;
    answer.is_refused(503, "RequestLimitExceeded");
}

#[tokio::test]
async fn stopping_answers_what_has_begun_and_ends_the_rest() {
    let lab = Lab::with(Limits {
        stop_time: Duration::from_secs(5),
        ..Limits::default()
    });
    let mut served = lab.serve();
    let bytes = lab.signer("sts").form(WHO).bytes();
    let mut begun = TcpStream::connect(&served.address).await.unwrap();
    begun.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    let mut idle = TcpStream::connect(&served.address).await.unwrap();
    sleep(SOON).await;
    served.stop();
    assert!(is_closed(&mut idle).await);
    assert!(TcpStream::connect(&served.address).await.is_err());
    begun.write_all(&bytes[bytes.len() - 1..]).await.unwrap();
    assert_eq!(read(begun).await.status, 200);
    (&mut served.task).await.unwrap();
}

#[tokio::test]
async fn what_does_not_end_by_itself_is_ended() {
    let lab = Lab::with(Limits {
        stop_time: SOON,
        ..Limits::default()
    });
    let mut served = lab.serve();
    let bytes = lab.signer("sts").form(WHO).bytes();
    let mut begun = TcpStream::connect(&served.address).await.unwrap();
    begun.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    sleep(SOON).await;
    served.stop();
    timeout(PATIENCE, &mut served.task).await.unwrap().unwrap();
}
