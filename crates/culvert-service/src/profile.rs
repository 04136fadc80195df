//! The profile that clients connect with, as it is exported.
//!
//! It keeps to the lines, and their order, of profiles exported from AWS, so that AWS's own client takes it too, and holds
//! only words that every stock client understands.
//!
//! Source: AWS Client VPN Administrator Guide, "Export the client configuration file", and exported files.

use std::fmt::Write as _;

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::Certificate;
use crate::endpoint::{AuthenticationMethod, Endpoint, IpAddressType, Transport};
use crate::environment::Environment;
use crate::id::EndpointId;

impl Environment {
    /// The DNS name an endpoint has unless all are reached by one host.
    pub fn dns_name(&self, endpoint: &EndpointId) -> String {
        format!("{endpoint}.prod.clientvpn.{}.amazonaws.com", self.region)
    }
}

impl Endpoint {
    /// The profile, in the format of OpenVPN's configuration files. A client certificate, where one is asked for, is
    /// added by whoever has it.
    pub fn client_configuration(&self, environment: &Environment, server: &Certificate) -> String {
        let mut text = format!("client\ndev tun\nproto {}\n", self.protocol());
        let mut hosts = environment.hosts(self.endpoint_ip_address_type);
        let dns_name = environment.dns_name(&self.id);
        // Any label before a name of the endpoint's own leads to it.
        let label = if hosts.is_empty() {
            "remote-random-hostname\n"
        } else {
            ""
        };
        if hosts.is_empty() {
            hosts.push(&dns_name);
        }
        for host in hosts {
            // Text in memory takes every write.
            let _ = writeln!(text, "remote {host} {}", self.vpn_port);
        }
        text.push_str(label);
        text.push_str("resolv-retry infinite\nnobind\nremote-cert-tls server\ncipher AES-256-GCM\nverb 3\n");
        let _ = write!(text, "<ca>\n{}\n</ca>\n", server.authority().trim());
        let by_password =
            |method: &AuthenticationMethod| matches!(method, AuthenticationMethod::Directory { .. });
        if self.authentication.iter().any(by_password) {
            text.push_str("auth-user-pass\n");
        }
        text.push_str("reneg-sec 0\n");
        if let Some(name) = common_name(server) {
            let _ = writeln!(text, "verify-x509-name {} name", quoted(&name));
        }
        text
    }

    /// What is spoken outside, in the words of `proto`: without a number, the client takes what the host's name leads to.
    fn protocol(&self) -> &'static str {
        match (self.transport, self.endpoint_ip_address_type) {
            (Transport::Udp, IpAddressType::Ipv4 | IpAddressType::DualStack) => "udp",
            (Transport::Udp, IpAddressType::Ipv6) => "udp6",
            (Transport::Tcp, IpAddressType::Ipv4 | IpAddressType::DualStack) => "tcp",
            (Transport::Tcp, IpAddressType::Ipv6) => "tcp6",
        }
    }
}

/// The common name of a certificate, if it has one that fits into a line.
fn common_name(certificate: &Certificate) -> Option<String> {
    let der = rustls_pemfile::certs(&mut certificate.certificate.as_bytes())
        .next()?
        .ok()?;
    let (_, parsed) = X509Certificate::from_der(&der).ok()?;
    let name = parsed
        .subject()
        .iter_common_name()
        .next()?
        .as_str()
        .ok()?
        .to_owned();
    (!name.is_empty() && !name.chars().any(char::is_control)).then_some(name)
}

/// An argument of an option: in quotes where the client would otherwise read it as several, or as a comment.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '*');
    if argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("\"{}\"", argument.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;
    use crate::operations::samples::{certificate, endpoint, environment};

    fn server(name: Option<&str>) -> Certificate {
        let mut params = CertificateParams::new(vec!["server".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate {
            certificate: made.pem(),
            chain: "CHAIN".into(),
            ..certificate()
        }
    }

    #[test]
    fn a_profile_has_the_lines_of_an_exported_one() {
        let endpoint = endpoint();
        let text = endpoint.client_configuration(&environment(), &server(Some("vpn.example.com")));
        let wanted = "client\ndev tun\nproto udp\n\
            remote cvpn-endpoint-01010101010101010.prod.clientvpn.us-east-1.amazonaws.com 443\n\
            remote-random-hostname\nresolv-retry infinite\nnobind\nremote-cert-tls server\ncipher AES-256-GCM\nverb 3\n\
            <ca>\nCHAIN\n</ca>\nreneg-sec 0\nverify-x509-name vpn.example.com name\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn host_transport_port_and_passwords_come_from_where_they_are_set() {
        let mut environment = environment();
        environment.host = Some("vpn.example.com".into());
        let mut endpoint = endpoint();
        (endpoint.transport, endpoint.vpn_port) = (Transport::Tcp, 1194);
        endpoint.authentication.push(AuthenticationMethod::Directory {
            directory_id: "d-0123456789".into(),
        });
        let mut alone = server(None);
        alone.chain.clear();
        let text = endpoint.client_configuration(&environment, &alone);
        assert!(
            text.contains("\nproto tcp\nremote vpn.example.com 1194\nresolv-retry"),
            "{text}"
        );
        assert!(
            text.contains("\n</ca>\nauth-user-pass\nreneg-sec 0\n") && text.ends_with("reneg-sec 0\n"),
            "{text}"
        );
        assert!(
            text.contains(alone.certificate.trim()),
            "a certificate without a chain is its own authority"
        );
    }

    #[test]
    fn each_family_outside_has_its_protocol_and_its_host() {
        let mut environment = environment();
        let mut endpoint = endpoint();
        let lines = |endpoint: &Endpoint, environment: &Environment| {
            let text = endpoint.client_configuration(environment, &server(None));
            let wanted = |line: &&str| line.starts_with("proto") || line.starts_with("remote ");
            text.lines().filter(wanted).collect::<Vec<_>>().join(", ")
        };
        endpoint.endpoint_ip_address_type = IpAddressType::Ipv6;
        let own = environment.dns_name(&endpoint.id);
        assert_eq!(
            lines(&endpoint, &environment),
            format!("proto udp6, remote {own} 443")
        );
        environment.host = Some("192.0.2.1".into());
        environment.ipv6_host = Some("2001:db8::1".into());
        for (families, transport, wanted) in [
            (
                IpAddressType::Ipv4,
                Transport::Udp,
                "proto udp, remote 192.0.2.1 443",
            ),
            (
                IpAddressType::Ipv6,
                Transport::Udp,
                "proto udp6, remote 2001:db8::1 443",
            ),
            (
                IpAddressType::Ipv6,
                Transport::Tcp,
                "proto tcp6, remote 2001:db8::1 443",
            ),
            (
                IpAddressType::DualStack,
                Transport::Tcp,
                "proto tcp, remote 192.0.2.1 443, remote 2001:db8::1 443",
            ),
        ] {
            (endpoint.endpoint_ip_address_type, endpoint.transport) = (families, transport);
            assert_eq!(lines(&endpoint, &environment), wanted);
        }
        (environment.host, environment.ipv6_host) = (Some("vpn.example.com".into()), None);
        endpoint.endpoint_ip_address_type = IpAddressType::DualStack;
        assert_eq!(
            lines(&endpoint, &environment),
            "proto tcp, remote vpn.example.com 443",
            "a name leads to both"
        );
    }

    #[test]
    fn names_with_blanks_and_quotes_stay_one_argument() {
        for (name, shown) in [
            ("My VPN", r#""My VPN""#),
            (r#"a "b" \c"#, r#""a \"b\" \\c""#),
            ("a#b", r##""a#b""##),
        ] {
            let text = endpoint().client_configuration(&environment(), &server(Some(name)));
            assert!(
                text.ends_with(&format!("verify-x509-name {shown} name\n")),
                "{text}"
            );
        }
    }
}
