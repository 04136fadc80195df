//! Where an endpoint listens: on all addresses of the machine, or on the one it is given when it is made. No two endpoints
//! share a port there.

use std::net::Ipv4Addr;

use culvert_query::ApiError;

use super::invalid;
use super::settings::Surroundings;
use crate::endpoint::{Endpoint, Transport};

impl Endpoint {
    /// The transport it is reached by beside its own, where all endpoints listen on both: none, if another one was made for
    /// that at the same place.
    pub fn second_transport<'e>(
        &self,
        others: impl IntoIterator<Item = &'e Self>,
    ) -> Result<Transport, &'e Self> {
        let second = self.transport.other();
        let mut others = others.into_iter();
        let holder = others.find(|other| {
            other.id != self.id && other.transport == second && self.shares_port(self.listen_address, other)
        });
        holder.map_or(Ok(second), Err)
    }

    /// Whether it would have its port, at this address, where the other has it.
    fn shares_port(&self, address: Option<Ipv4Addr>, other: &Self) -> bool {
        let (families, others) = (self.endpoint_ip_address_type, other.endpoint_ip_address_type);
        let same_v4 = match (other.listen_address, address) {
            (Some(one), Some(another)) => one == another,
            // One of them listens on every address.
            (None, _) | (_, None) => true,
        };
        self.vpn_port == other.vpn_port
            && (families.v6() && others.v6() || families.v4() && others.v4() && same_v4)
    }
}

impl Surroundings<'_> {
    /// The address a new endpoint is given: the first of those declared where its port is free. `None`: all addresses, as
    /// none is declared. Only IPv4 addresses are; over IPv6 every endpoint listens on all.
    pub(super) fn listen_address(&self, own: &Endpoint) -> Result<Option<Ipv4Addr>, ApiError> {
        let mut declared = self.environment.listen.iter().map(|one| one.address);
        if declared.len() == 0 || !own.endpoint_ip_address_type.v4() {
            self.check_port_free(own)?;
            return Ok(None);
        }
        if let Some(free) = declared.find(|address| self.holder(own, Some(*address)).is_none()) {
            return Ok(Some(free));
        }
        let reason = format!(
            "each address that endpoints are given has one on {} already; choose another {}, or add an address to listen \
             in [account] and reload",
            self.port(own),
            self.alternatives()
        );
        Err(invalid("VpnPort", reason))
    }

    /// Refuses a port that another endpoint of this machine has on the same address.
    pub(super) fn check_port_free(&self, own: &Endpoint) -> Result<(), ApiError> {
        let Some(other) = self.holder(own, own.listen_address) else {
            return Ok(());
        };
        let place = other.listen_address.or(own.listen_address);
        let place = place.map_or_else(String::new, |address| format!(" of {address}"));
        let more = if self.environment.listen.is_empty() {
            ", or declare several addresses with listen in [account] and reload"
        } else {
            ""
        };
        let reason = format!(
            "the endpoint {} listens on {}{place} already; choose another {}{more}",
            other.id,
            self.port(own),
            self.alternatives()
        );
        Err(invalid("VpnPort", reason))
    }

    /// Who would be in the way of an endpoint at this address.
    fn holder(&self, own: &Endpoint, address: Option<Ipv4Addr>) -> Option<&Endpoint> {
        let same_transport =
            |other: &Endpoint| self.environment.both_transports || other.transport == own.transport;
        let mut others = self.endpoints.iter().filter(|other| other.id != own.id);
        others.find(|other| same_transport(other) && own.shares_port(address, other))
    }

    fn port(&self, own: &Endpoint) -> String {
        let transport = match own.transport {
            _ if self.environment.both_transports => "UDP and TCP",
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        };
        format!("{transport} port {}", own.vpn_port)
    }

    /// What else a caller could ask for.
    fn alternatives(&self) -> &'static str {
        if self.environment.both_transports {
            "VpnPort"
        } else {
            "VpnPort or TransportProtocol"
        }
    }
}

#[cfg(test)]
mod tests {
    use culvert_config::ListenAddress;

    use super::super::samples::{certificate, endpoint, environment};
    use super::*;
    use crate::environment::Environment;
    use crate::id::EndpointId;

    fn own(transport: Transport, port: u16) -> Endpoint {
        Endpoint {
            id: EndpointId::from_random([9; 9]),
            transport,
            vpn_port: port,
            ..endpoint()
        }
    }

    fn at(number: u8, address: Option<&str>) -> Endpoint {
        Endpoint {
            id: EndpointId::from_random([number; 9]),
            listen_address: address.map(|address| address.parse().unwrap()),
            ..endpoint()
        }
    }

    fn with_two_addresses() -> Environment {
        let listen = |address: &str| ListenAddress {
            address: address.parse().unwrap(),
            host: None,
        };
        Environment {
            listen: vec![listen("192.0.2.1"), listen("192.0.2.2")],
            ..environment()
        }
    }

    fn given(
        environment: &Environment,
        endpoints: &[Endpoint],
        own: &Endpoint,
    ) -> Result<Option<String>, String> {
        let surroundings = Surroundings {
            environment,
            certificates: &[certificate()],
            endpoints,
        };
        let given = surroundings.listen_address(own);
        let text = given.map(|given| given.map(|address| address.to_string()));
        text.map_err(|error| error.message)
    }

    #[test]
    fn each_endpoint_is_given_the_first_address_that_is_free_for_it() {
        let (two, udp) = (with_two_addresses(), own(Transport::Udp, 443));
        assert_eq!(given(&environment(), &[], &udp), Ok(None), "all addresses");
        assert_eq!(given(&two, &[], &udp), Ok(Some("192.0.2.1".into())));
        let first = [at(1, Some("192.0.2.1"))];
        assert_eq!(given(&two, &first, &udp), Ok(Some("192.0.2.2".into())));
        assert_eq!(
            given(&two, &first, &own(Transport::Udp, 1194)),
            Ok(Some("192.0.2.1".into()))
        );
        assert_eq!(
            given(&two, &first, &own(Transport::Tcp, 443)),
            Ok(Some("192.0.2.1".into()))
        );
        let second = [at(1, Some("192.0.2.2"))];
        assert_eq!(given(&two, &second, &udp), Ok(Some("192.0.2.1".into())));
    }

    #[test]
    fn where_none_is_free_the_refusal_names_the_cure() {
        let (two, udp) = (with_two_addresses(), own(Transport::Udp, 443));
        let both = [at(1, Some("192.0.2.1")), at(2, Some("192.0.2.2"))];
        let refused = given(&two, &both, &udp).unwrap_err();
        assert!(
            refused.contains("UDP port 443") && refused.contains("add an address to listen in [account]"),
            "{refused}"
        );
        let everywhere = [at(1, None)];
        given(&two, &everywhere, &udp).unwrap_err();
        let refused = given(&environment(), &everywhere, &udp).unwrap_err();
        assert!(
            refused.contains(everywhere[0].id.as_str()) && refused.contains("declare several addresses"),
            "{refused}"
        );
        given(&environment(), &[at(1, Some("192.0.2.7"))], &udp).unwrap_err();
    }

    #[test]
    fn with_both_transports_an_endpoint_has_its_port_alone() {
        let mut both = environment();
        let tcp = own(Transport::Tcp, 443);
        assert_eq!(given(&both, &[at(1, None)], &tcp), Ok(None));
        both.both_transports = true;
        let refused = given(&both, &[at(1, None)], &tcp).unwrap_err();
        assert!(
            refused.contains("UDP and TCP port 443 already; choose another VpnPort, or"),
            "{refused}"
        );
        assert_eq!(given(&both, &[at(1, None)], &own(Transport::Tcp, 1194)), Ok(None));
    }

    #[test]
    fn a_second_transport_is_not_taken_from_who_was_made_for_it() {
        let (udp, tcp) = (at(1, None), own(Transport::Tcp, 443));
        let all = [udp.clone(), tcp.clone()];
        assert_eq!(udp.second_transport(&all), Err(&tcp));
        assert_eq!(tcp.second_transport(&all), Err(&udp));
        assert_eq!(udp.second_transport([&udp]), Ok(Transport::Tcp));
        let elsewhere = own(Transport::Tcp, 1194);
        assert_eq!(udp.second_transport([&udp, &elsewhere]), Ok(Transport::Tcp));
        let beside = at(2, Some("192.0.2.2"));
        let one = Endpoint {
            transport: Transport::Tcp,
            ..at(3, Some("192.0.2.1"))
        };
        assert_eq!(
            one.second_transport([&beside]),
            Ok(Transport::Udp),
            "another address"
        );
        assert_eq!(tcp.second_transport([&beside]), Err(&beside), "it has them all");
    }
}
