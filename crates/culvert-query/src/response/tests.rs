//! Whole documents, and what must survive in them.

use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;
use crate::ErrorCode;
use crate::encoding::is_xml_char;

const ID: &str = "0f3c1c9e-6a53-4a57-9a25-2f0d2f9f8f10";
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

fn text(document: Vec<u8>) -> String {
    let text = String::from_utf8(document).expect("UTF-8");
    text.strip_prefix(DECLARATION).expect("a declaration").to_owned()
}

#[test]
fn an_answer_of_ec2() {
    let answer = ec2("CreateClientVpnEndpoint", ID, |root| {
        root.text("clientVpnEndpointId", "cvpn-endpoint-1");
        root.structure("status", |status| status.text("code", "pending-associate"));
        root.optional_text("dnsName", Some("*.vpn.example.com"));
        root.optional_text("description", None);
        root.integer("vpnPort", 443);
        root.boolean("splitTunnel", false);
        root.text_list("dnsServer", ["10.0.0.2", "10.0.0.3"]);
        root.list("tagSet", [("Name", "a")], |item, (key, value)| {
            item.text("key", key);
            item.text("value", value);
        });
        root.list("authenticationOptions", Vec::<()>::new(), |_, ()| {});
    });
    assert_eq!(
        text(answer),
        "<CreateClientVpnEndpointResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>0f3c1c9e-6a53-4a57-9a25-2f0d2f9f8f10</requestId>\
         <clientVpnEndpointId>cvpn-endpoint-1</clientVpnEndpointId>\
         <status><code>pending-associate</code></status>\
         <dnsName>*.vpn.example.com</dnsName>\
         <vpnPort>443</vpnPort>\
         <splitTunnel>false</splitTunnel>\
         <dnsServer><item>10.0.0.2</item><item>10.0.0.3</item></dnsServer>\
         <tagSet><item><key>Name</key><value>a</value></item></tagSet>\
         <authenticationOptions></authenticationOptions>\
         </CreateClientVpnEndpointResponse>"
    );
}

#[test]
fn nothing_to_tell() {
    assert_eq!(
        text(ec2_done("ModifyClientVpnEndpoint", "id")),
        "<ModifyClientVpnEndpointResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>id</requestId><return>true</return></ModifyClientVpnEndpointResponse>"
    );
}

#[test]
fn a_refusal_by_ec2() {
    let error = ApiError::new(
        ErrorCode::EndpointIdNotFound,
        "Endpoint cvpn-endpoint-<1> does not exist",
    );
    assert_eq!(
        text(ec2_error(&error, ID)),
        "<Response><Errors><Error><Code>InvalidClientVpnEndpointId.NotFound</Code>\
         <Message>Endpoint cvpn-endpoint-&lt;1&gt; does not exist</Message></Error></Errors>\
         <RequestID>0f3c1c9e-6a53-4a57-9a25-2f0d2f9f8f10</RequestID></Response>"
    );
}

#[test]
fn another_service_answers_and_refuses() {
    let answer = query(QueryService::STS, "GetCallerIdentity", "id", |result| {
        result.text("Account", "1")
    });
    assert_eq!(
        text(answer),
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    let refused = |code| text(query_error(QueryService::STS, &ApiError::new(code, "no"), "id"));
    assert_eq!(
        refused(ErrorCode::SignatureDoesNotMatch),
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>SignatureDoesNotMatch</Code><Message>no</Message></Error><RequestId>id</RequestId></ErrorResponse>"
    );
    assert!(refused(ErrorCode::InternalError).contains("<Type>Receiver</Type>"));
}

#[test]
fn values_cannot_become_markup_and_lines_survive() {
    let answer = text(ec2("A", "id", |root| {
        root.text("crl", "a</crl><x>&amp;\r\nb\t\u{0}\u{ffff}")
    }));
    assert!(
        answer.contains("<crl>a&lt;/crl&gt;&lt;x&gt;&amp;amp;&#13;\nb\t\u{fffd}\u{fffd}</crl>"),
        "{answer}"
    );
}

/// All text of a document, as a parser sees it.
fn parsed_text(document: &[u8]) -> String {
    let document = std::str::from_utf8(document).expect("UTF-8");
    let mut reader = Reader::from_str(document);
    let mut found = String::new();
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Eof => return found,
            Event::Text(text) => found.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let reference = format!("&{};", &*reference);
                found.push_str(&quick_xml::escape::unescape(&reference).expect("a known reference"));
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn a_parser_reads_what_was_written(text in "\\PC{0,30}|[<>&'\"\r\n\t \u{0}-\u{20}\u{fffe}a]{0,20}") {
        let answer = ec2("A", "", |root| root.text("value", &text));
        let wanted: String = text.chars().map(|c| if is_xml_char(c) { c } else { '\u{fffd}' }).collect();
        prop_assert_eq!(parsed_text(&answer), ["\n", &wanted].concat());
    }
}
