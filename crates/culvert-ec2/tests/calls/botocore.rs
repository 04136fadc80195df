//! What the AWS SDK's own model says of our answers, and what we say to the forms it makes. Skipped where Python has no
//! botocore.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use culvert_query::ErrorCode;
use culvert_service::{Connection, ConnectionId, ConnectionState};
use serde_json::{Value, json};

use crate::all_actions::forms;
use crate::lab::{Lab, NOW, encoded, id};

/// What the script makes of `input`; `None` without botocore.
fn botocore(script: &str, input: &Value) -> Option<Value> {
    let found = Command::new("python3")
        .args(["-c", "import botocore"])
        .stderr(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        eprintln!("skipped: python3 has no botocore");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(script);
    let mut python = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(python.stdin.take().unwrap(), input).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn connection(endpoint: &str) -> Connection {
    Connection {
        id: ConnectionId::from_random([7; 9]),
        endpoint: endpoint.parse().unwrap(),
        timestamp: NOW,
        username: Some("ann".into()),
        common_name: Some("laptop".into()),
        established: NOW,
        ingress_bytes: 1,
        egress_bytes: 2,
        ingress_packets: 3,
        egress_packets: 4,
        client_ip: "10.8.0.2".parse().ok(),
        client_ipv6: "fd00::2".parse().ok(),
        state: ConnectionState::Active,
        ended: None,
        posture: vec!["compliant".into()],
    }
}

#[test]
fn every_member_of_our_answers_is_in_the_model_and_is_parsed() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    *lab.tunnels.connections.lock().unwrap() = vec![connection(&endpoint)];
    let mut answers = Vec::new();
    for form in forms(&lab, &endpoint) {
        let action = action(&form);
        // The one that was created meanwhile has no target networks.
        let form = match action {
            "DeleteClientVpnEndpoint" => form.replace(&endpoint, &id("cvpn-endpoint-", 5)),
            _ => form.clone(),
        };
        answers.push(json!([action, lab.call(&form).unwrap()]));
    }
    let Some(found) = botocore("unknown_members.py", &Value::from(answers)) else {
        return;
    };
    assert_eq!(found["unknown"], json!([]), "not in the model");
    assert_eq!(found["unparsed"], json!([]), "nothing was parsed");
}

#[test]
fn no_form_of_the_sdk_has_a_parameter_that_is_unknown_here() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    let forms = forms(&lab, &endpoint);
    let actions: Vec<&str> = forms.iter().map(|form| action(form)).collect();
    let Some(made) = botocore("largest_forms.py", &json!(actions)) else {
        return;
    };
    let made: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_value(made).unwrap();
    assert_eq!(made.len(), actions.len());
    for form in &forms {
        let control = lab.code(&format!("{form}&DryRun=true&Color=red"));
        assert_eq!(control, ErrorCode::UnknownParameter, "{form}");
        let sent = |name: &str| form.split('&').any(|pair| pair.split('=').next() == Some(name));
        let members = made[action(form)].iter();
        for (name, value) in
            members.filter(|(name, _)| !sent(name) && !["Version", "DryRun"].contains(&name.as_str()))
        {
            // The value is made up and may be refused; then it was read, which is all that is asked here.
            let refusal = lab.refusal(&format!("{form}&DryRun=true&{name}={}", encoded(value)));
            assert_ne!(
                refusal.code,
                ErrorCode::UnknownParameter,
                "{}: {refusal}",
                action(form)
            );
        }
    }
}

fn action(form: &str) -> &str {
    form.split(['=', '&']).nth(1).unwrap()
}
