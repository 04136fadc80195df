//! A form: it is read in every way there is, and means the same when it is sent in another order.
#![no_main]

use culvert_query::idempotency::Fingerprint;
use culvert_query::params::{Limits, Params};
use culvert_query::{Method, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(params) = read(data) else {
        return;
    };
    let root = params.root();
    let _ = (
        params.action(),
        params.check_version("2016-11-15"),
        root.client_token(),
    );
    let _ = (
        root.boolean("DryRun"),
        root.integer("VpnPort", 0..=65_535),
        root.page_size(100),
    );
    let _ = (
        root.tags(50),
        root.tag_specifications(50),
        root.texts("DnsServers"),
    );
    if let Ok(filters) = root.filters(&["endpoint-id", "tag:"]) {
        for filter in &filters {
            assert!(!filter.values.is_empty());
            let _ = filter.matches("cvpn-endpoint-0123456789abcdef0");
        }
    }
    for group in root.groups("Authentication") {
        let _ = (group.required("Type"), group.group("MutualAuthentication"));
    }
    let _ = params.finish();

    let mut pairs: Vec<&[u8]> = data.split(|byte| *byte == b'&').collect();
    pairs.reverse();
    let again = read(&pairs.join(&b'&')).expect("another order is the same form");
    assert!(Fingerprint::of(&again).judge(Fingerprint::of(&params)).is_ok());
});

fn read(form: &[u8]) -> Option<Params> {
    let request = Request {
        method: Method::Post,
        path: "/",
        query: "",
        headers: &[],
        body: form,
    };
    Params::from_request(&request, &Limits::default()).ok()
}
