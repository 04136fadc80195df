//! Access keys that change while the API is served, and addresses it can't be served on.

use culvert_api::{ApiStartError, Listener};
use culvert_auth::AccessKeyFile;

use crate::lab::Lab;

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";

#[tokio::test]
async fn a_deleted_key_is_good_no_longer() {
    let lab = Lab::new();
    let served = lab.serve();
    let status = async || lab.signer("sts").form(WHO).send(&served.address).await.status;
    assert_eq!(status().await, 200);
    AccessKeyFile::edit(&lab.path("access-keys"), |keys| keys.remove(lab.key.id())).unwrap();
    assert_eq!(status().await, 403);
    AccessKeyFile::edit(&lab.path("access-keys"), |keys| keys.add(lab.key.clone())).unwrap();
    assert_eq!(status().await, 200);
}

#[tokio::test]
async fn an_address_that_cannot_be_served_is_refused_with_a_cure() {
    let lab = Lab::new();
    let served = lab.serve();
    let taken = Listener::bind_tcp(served.address.parse().unwrap(), None);
    let text = taken.err().unwrap().to_string();
    assert!(
        text.contains(&served.address) && text.contains("choose another port"),
        "{text}"
    );
    let open = Listener::bind_tcp("0.0.0.0:0".parse().unwrap(), None);
    assert!(matches!(open.err().unwrap(), ApiStartError::Unprotected(_)));
    let foreign = Listener::bind_tcp("127.0.0.1:0".parse().unwrap(), None).unwrap();
    assert!(foreign.local_address().unwrap().ip().is_loopback());
}
