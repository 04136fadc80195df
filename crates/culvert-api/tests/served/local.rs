//! The Unix socket: no signatures, only users the kernel vouches for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use culvert_api::{ApiStartError, Listener};
use serde_json::json;
use tokio::net::UnixStream;

use crate::client::{Request, Response, exchange};
use crate::lab::{ACCOUNT, Lab};

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";

fn form(body: &str) -> Request {
    Request::post(body).header("content-type", "application/x-www-form-urlencoded")
}

async fn send(lab: &Lab, request: &Request) -> Response {
    let stream = UnixStream::connect(lab.path("api.sock")).await.unwrap();
    exchange(stream, &request.bytes()).await
}

#[tokio::test]
async fn the_daemons_user_needs_no_signature() {
    let lab = Lab::new();
    let _served = lab.run(Listener::bind_unix(&lab.path("api.sock")).unwrap());
    let mode = fs::metadata(lab.path("api.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let answer = send(&lab, &form(WHO)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let root = format!("<Arn>arn:aws:iam::{ACCOUNT}:root</Arn><UserId>{ACCOUNT}</UserId>");
    assert!(answer.body.contains(&root), "{answer:?}");
}

#[tokio::test]
async fn the_service_is_the_one_that_seems_to_be_meant() {
    let lab = Lab::new();
    let _served = lab.run(Listener::bind_unix(&lab.path("api.sock")).unwrap());
    let acm = Request::post("{}")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "CertificateManager.ListCertificates");
    assert_eq!(
        send(&lab, &acm).await.json(),
        json!({ "CertificateSummaryList": [] })
    );
    let scope = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/sts/aws4_request, Signature=0";
    let sts = form("Action=Nothing&Version=2011-06-15").header("authorization", scope);
    let answer = send(&lab, &sts).await;
    answer.is_refused(400, "InvalidAction");
    assert!(answer.body.contains("<ErrorResponse"), "{answer:?}");
    // Whatever is neither is EC2's.
    let answer = send(&lab, &form("")).await;
    answer.is_refused(400, "MissingAction");
    assert!(answer.body.contains("<RequestID>"), "{answer:?}");
}

#[tokio::test]
async fn other_users_of_the_machine_are_refused() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let lab = Lab::new();
    let path = lab.path("api.sock");
    let _served = lab.run(Listener::bind_unix(&path).unwrap());
    // As if an operator had opened it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(lab.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
                  s.sendall(sys.argv[2].encode())\nprint(s.makefile().read())";
    let request = String::from_utf8(form(WHO).bytes()).unwrap();
    let output = tokio::task::spawn_blocking(move || {
        let python = Command::new("python3")
            .args(["-c", script])
            .arg(path)
            .arg(request)
            .uid(65_534)
            .gid(65_534)
            .output();
        python.unwrap()
    });
    let output = output.await.unwrap();
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(
        answer.contains("403") && answer.contains("UnauthorizedOperation"),
        "{answer}"
    );
    assert!(!answer.contains(ACCOUNT), "{answer}");
}

#[tokio::test]
async fn a_socket_is_replaced_only_if_nobody_serves_it_and_removed_at_the_end() {
    let lab = Lab::new();
    let path = lab.path("folder/api.sock");
    let mut served = lab.run(Listener::bind_unix(&path).unwrap());
    let again = Listener::bind_unix(&path).err().unwrap();
    assert!(matches!(again, ApiStartError::Taken { .. }), "{again}");
    served.stop();
    (&mut served.task).await.unwrap();
    assert!(!path.exists());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left over by a dead daemon");
    drop(Listener::bind_unix(&path).unwrap());
    fs::write(&path, "no socket").unwrap();
    let file = Listener::bind_unix(&path).err().unwrap().to_string();
    assert!(file.contains("remove it or choose another path"), "{file}");
}
