//! Pushed options: what a client accepts of a server, and what a server accepts of its operator.
#![no_main]

use culvert_wire::message::{ControlMessage, MAX_MESSAGE};
use culvert_wire::push::{PushAssembler, PushKind, PushReplyBuilder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut assembler = PushAssembler::new();
    for message in text.split('\0') {
        if let Ok(Some(options)) = assembler.push(message) {
            let _ = (
                options.ifconfig(),
                options.ifconfig_ipv6(),
                options.peer_id(),
                options.tun_mtu(),
            );
            let _ = (
                options.routes().count(),
                options.routes_ipv6().count(),
                options.tls_ekm(),
            );
        }
    }
    let mut list = PushReplyBuilder::new(PushKind::Reply);
    for option in text.split('\0') {
        let _ = list.push(option);
    }
    let (mut assembler, mut received) = (PushAssembler::new(), None);
    for record in list.messages() {
        assert!(record.len() <= MAX_MESSAGE);
        let Some(ControlMessage::PushReply(text)) = ControlMessage::parse_record(&record).next() else {
            panic!("not a push reply")
        };
        received = assembler.push(&text).expect("what we send is well-formed");
    }
    assert!(received.is_some());
});
