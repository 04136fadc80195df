//! Accepting when file descriptors run out. Alone in its process: the limit is the process's.

use std::{
    fs::File,
    net::TcpStream,
    time::{Duration, Instant},
};

use culvert_transport::{TcpListener, TcpOptions, TcpSocket, TransportError};
use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
    time::TimeValLike,
};

#[test]
fn accepting_survives_a_shortage_of_descriptors_without_spinning() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let mut listener = {
        let _guard = runtime.enter();
        TcpListener::new(TcpSocket::bind(address, &TcpOptions::default()).unwrap()).unwrap()
    };
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let client = TcpStream::connect(listener.local_addr()).unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    let error = TcpSocket::bind(address, &TcpOptions::default()).unwrap_err();
    assert!(matches!(error, TransportError::NoDescriptors { .. }), "{error}");

    let cpu = || getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let before = cpu().user_time() + cpu().system_time();
    runtime.block_on(async {
        let waited = tokio::time::timeout(Duration::from_secs(1), listener.accept()).await;
        assert!(waited.is_err(), "there is no descriptor to accept with");
    });
    let spent = cpu().user_time() + cpu().system_time() - before;
    assert!(spent.num_milliseconds() < 100, "spinning: {spent:?}");

    drop(hoard);
    let released = Instant::now();
    let connection = runtime.block_on(listener.accept());
    assert!(
        released.elapsed() < Duration::from_millis(500),
        "service is back quickly"
    );
    assert_eq!(connection.link().remote, client.local_addr().unwrap());
}
