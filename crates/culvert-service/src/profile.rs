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

/// How long a client waits for an answer before it tries the other transport.
const POLL_SECONDS: u32 = 10;

impl Environment {
    /// The DNS name an endpoint has unless all are reached by one host.
    pub fn dns_name(&self, endpoint: &EndpointId) -> String {
        format!("{endpoint}.prod.clientvpn.{}.amazonaws.com", self.region)
    }
}

impl Endpoint {
    /// The profile, in the format of OpenVPN's configuration files, for an endpoint beside these others. A client
    /// certificate, where one is asked for, is added by whoever has it.
    pub fn client_configuration(
        &self,
        environment: &Environment,
        server: &Certificate,
        others: &[Self],
    ) -> String {
        let mut text = String::from("client\ndev tun\n");
        self.write_remotes(&mut text, environment, others);
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

    /// Names or addresses clients reach it by, best first; none: by [a DNS name of its own](Environment::dns_name).
    pub fn hosts(&self, environment: &Environment) -> Vec<String> {
        let families = self.endpoint_ip_address_type;
        let over_v4 = self.ipv4_host(environment).filter(|_| families.v4());
        let over_v6 = environment.ipv6_host.as_ref().or(environment.host.as_ref());
        let over_v6 = over_v6.filter(|_| families.v6()).cloned();
        let mut hosts: Vec<String> = over_v4.into_iter().chain(over_v6).collect();
        hosts.dedup();
        hosts
    }

    fn ipv4_host(&self, environment: &Environment) -> Option<String> {
        let Some(address) = self.listen_address else {
            return environment.host.clone();
        };
        let mut declared = environment.listen.iter();
        let name = match declared.find(|one| one.address == address) {
            Some(one) => one.host.as_ref().or(environment.host.as_ref()),
            // The account's name leads to addresses that are declared.
            None => None,
        };
        Some(name.cloned().unwrap_or_else(|| address.to_string()))
    }

    fn write_remotes(&self, text: &mut String, environment: &Environment, others: &[Self]) {
        let mut hosts = self.hosts(environment);
        let has_own_name = hosts.is_empty();
        if has_own_name {
            hosts.push(environment.dns_name(&self.id));
        }
        let own = self.protocol(self.transport);
        // Text in memory takes every write.
        let second = self
            .second_transport(others)
            .ok()
            .filter(|_| environment.both_transports);
        if let Some(second) = second {
            for protocol in [own, self.protocol(second)] {
                for host in &hosts {
                    let _ = writeln!(text, "remote {host} {} {protocol}", self.vpn_port);
                }
            }
            let _ = writeln!(text, "server-poll-timeout {POLL_SECONDS}");
        } else {
            let _ = writeln!(text, "proto {own}");
            for host in &hosts {
                let _ = writeln!(text, "remote {host} {}", self.vpn_port);
            }
        }
        if has_own_name {
            // Any label before the name leads to the endpoint.
            text.push_str("remote-random-hostname\n");
        }
    }

    /// A transport in the words of `proto`: without a number, the client takes what the host's name leads to.
    fn protocol(&self, transport: Transport) -> &'static str {
        match (transport, self.endpoint_ip_address_type) {
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
    use crate::environment::ListenAddress;
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
        let text = endpoint.client_configuration(&environment(), &server(Some("vpn.example.com")), &[]);
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
        let text = endpoint.client_configuration(&environment, &alone, &[]);
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
    fn both_transports_are_tried_its_own_first() {
        let mut environment = environment();
        environment.both_transports = true;
        let mut endpoint = endpoint();
        let text = endpoint.client_configuration(&environment, &server(None), &[]);
        let host = environment.dns_name(&endpoint.id);
        let wanted = format!(
            "client\ndev tun\nremote {host} 443 udp\nremote {host} 443 tcp\nserver-poll-timeout 10\nremote-random-hostname\n\
             resolv-retry infinite\n"
        );
        assert!(text.starts_with(&wanted), "{text}");
        endpoint.transport = Transport::Tcp;
        let text = endpoint.client_configuration(&environment, &server(None), &[]);
        assert!(
            text.contains(&format!("\nremote {host} 443 tcp\nremote {host} 443 udp\n")),
            "{text}"
        );
    }

    #[test]
    fn an_endpoint_with_an_address_is_reached_by_its_name_or_itself() {
        let mut environment = environment();
        let mut endpoint = endpoint();
        endpoint.listen_address = "192.0.2.2".parse().ok();
        let host = |environment: &Environment| endpoint.hosts(environment).remove(0);
        let listen = |address: &str, host: Option<&str>| ListenAddress {
            address: address.parse().unwrap(),
            host: host.map(str::to_owned),
        };
        environment.listen = vec![listen("192.0.2.1", None), listen("192.0.2.2", None)];
        assert_eq!(host(&environment), "192.0.2.2");
        let text = endpoint.client_configuration(&environment, &server(None), &[]);
        assert!(
            text.contains("\nproto udp\nremote 192.0.2.2 443\nresolv-retry"),
            "{text}"
        );
        environment.host = Some("one.example.com".into());
        environment.listen = vec![listen("192.0.2.2", None)];
        assert_eq!(host(&environment), "one.example.com");
        environment.listen = vec![listen("192.0.2.2", Some("two.example.com"))];
        assert_eq!(host(&environment), "two.example.com");
        environment.listen = vec![listen("192.0.2.1", None)];
        assert_eq!(host(&environment), "192.0.2.2", "it is declared no more");
    }

    #[test]
    fn each_family_outside_has_its_protocol_and_its_host() {
        let mut environment = environment();
        let mut endpoint = endpoint();
        let lines = |endpoint: &Endpoint, environment: &Environment| {
            let text = endpoint.client_configuration(environment, &server(None), &[]);
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
            let text = endpoint().client_configuration(&environment(), &server(Some(name)), &[]);
            assert!(
                text.ends_with(&format!("verify-x509-name {shown} name\n")),
                "{text}"
            );
        }
    }
}
