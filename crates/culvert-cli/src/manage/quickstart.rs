//! `culvert endpoint quickstart`: from files to a profile with one command.
//!
//! What AWS's console calls Quickstart: certificates, client addresses and a subnet in; an endpoint with that network, its
//! routes and a rule that lets everybody into its VPC out.

use std::num::NonZeroU16;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;
use culvert_pki::{Identity, ServerCertificate};
use serde_json::json;

use super::api::{Api, ApiArguments};
use super::certificate::{self, Material};
use super::create::{IpAddressType, Transport, add_tags};
use super::endpoint::one;
use super::error::ManageError;
use super::export::{self, ClientFiles};
use super::files;
use super::form::Form;
use super::model::{Created, Subnets, Vpcs};
use super::wait::{Progress, settled};
use super::{crl, network, rule};
use crate::output::{Output, clean};

/// Arguments of `culvert endpoint quickstart`.
#[derive(Args)]
pub(crate) struct Quickstart {
    /// Certificate the endpoint shows, PEM; what issued it may follow in the file
    #[arg(long, value_name = "FILE")]
    server_certificate: PathBuf,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    server_key: PathBuf,
    /// Authority of the server's certificate, PEM [default: what follows in its file, else the clients' authority]
    #[arg(long, value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// Authority whose certificates let clients in, PEM
    #[arg(long, value_name = "FILE")]
    client_ca: PathBuf,
    /// Revocation list of this authority, PEM, in force from the first connection on
    #[arg(long, value_name = "FILE")]
    crl: Option<PathBuf>,
    #[command(flatten)]
    client: ClientFiles,
    /// Addresses for clients, /12 to /22
    #[arg(long, value_name = "NETWORK")]
    client_cidr: String,
    /// Subnet clients reach, by id; may be given several times
    #[arg(long = "subnet", value_name = "SUBNET", required = true)]
    subnets: Vec<String>,
    /// How clients connect
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// Port clients connect to [default: 443]
    #[arg(long, value_name = "PORT")]
    vpn_port: Option<NonZeroU16>,
    /// Families of addresses that clients reach the endpoint over [default: ipv4]
    #[arg(long, value_enum, value_name = "FAMILIES")]
    endpoint_ip_address_type: Option<IpAddressType>,
    /// Send only traffic for the VPC through the tunnel
    #[arg(long)]
    split_tunnel: bool,
    /// Name of the endpoint, as its tag Name
    #[arg(long)]
    name: Option<String>,
    /// File to write the profile to; an existing file is left alone [default: ENDPOINT.ovpn]
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    #[command(flatten)]
    api: ApiArguments,
}

/// What is imported: the server's certificate, and another for the clients' authority unless it is the server's too.
struct Certificates {
    server: Material,
    client: Option<Material>,
}

impl Quickstart {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let api = self.api.open(output)?;
        if let Some(path) = self.profile.as_ref().filter(|path| path.exists()) {
            bail!(
                "{} exists already and is left alone: choose another name",
                path.display()
            );
        }
        // All that can be known to fail fails before anything is made.
        let identity = self.client.identity()?;
        let certificates = self.certificates(identity.as_ref())?;
        let revoked = self.crl.as_deref().map(files::text).transpose()?;
        let blocks = self.vpc_blocks(&api)?;

        let id = self.create(&api, &certificates)?;
        let finished = Self::keep_out(&api, &id, revoked.as_ref().map(|list| list.as_str()))
            .and_then(|()| self.finish(&api, output, &id, &blocks, identity.as_ref()));
        let profile = finished.with_context(|| {
            format!("{id} is made but not ready; `culvert endpoint delete {id} --disassociate` takes it away")
        })?;
        let document = json!({
            "client_vpn_endpoint_id": id,
            "authorized_networks": blocks,
            "file": profile,
            "has_client_certificate": identity.is_some(),
        });
        output.emit(&document, || {
            let add = if identity.is_some() {
                ""
            } else {
                "\nEach client adds its own certificate: culvert profile export ENDPOINT --client-certificate F --client-key F"
            };
            format!("{id} is available\nprofile: {}{add}", profile.display())
        })
    }

    fn certificates(&self, identity: Option<&Identity>) -> anyhow::Result<Certificates> {
        let mut ders = files::certificates(&self.server_certificate)?;
        let own = ders.remove(0);
        let roots = files::certificates(&self.client_ca)?;
        let mut chain = match &self.server_ca {
            Some(path) => files::certificates(path)?,
            None => ders,
        };
        let server = ServerCertificate::read(&self.server_certificate)?;
        let is_shared =
            server.is_issued_by(&files::pem(&roots)) || roots.iter().any(|root| chain.contains(root));
        if is_shared && !roots.iter().any(|root| chain.contains(root)) {
            chain.extend(roots.iter().cloned());
        }
        ensure!(
            !chain.is_empty(),
            "what issued {} is neither in the file nor in {}: name the authority with --server-ca",
            self.server_certificate.display(),
            self.client_ca.display()
        );
        Ok(Certificates {
            server: Material {
                certificate: files::pem(&[own]),
                private_key: files::text(&self.server_key)?,
                chain: files::pem(&chain),
            },
            client: if is_shared {
                None
            } else {
                Some(self.client_material(&roots, identity)?)
            },
        })
    }

    /// The certificate manager holds no authority without a certificate that it issued, and its key.
    fn client_material(&self, roots: &[Vec<u8>], identity: Option<&Identity>) -> anyhow::Result<Material> {
        let (Some(identity), Some(path)) = (identity, &self.client.client_certificate) else {
            bail!(
                "the authority in {} did not issue the server's certificate, and comes into the certificate manager only \
                 with a certificate it issued: name one with --client-certificate and --client-key; it goes into the \
                 profile too",
                self.client_ca.display()
            );
        };
        let own = files::certificates(path)?.remove(0);
        Ok(Material {
            certificate: files::pem(&[own]),
            private_key: identity.private_key.clone(),
            chain: files::pem(roots),
        })
    }

    /// The networks of the VPCs that the subnets are in.
    fn vpc_blocks(&self, api: &Api) -> anyhow::Result<Vec<String>> {
        let mut form = Form::new();
        form.add_list("SubnetId", &self.subnets);
        let subnets = api.list::<Subnets>("DescribeSubnets", &form)?;
        let mut vpcs: Vec<String> = subnets.into_iter().map(|subnet| subnet.vpc_id).collect();
        vpcs.sort_unstable();
        vpcs.dedup();
        ensure!(
            vpcs.len() <= 1,
            "the subnets are in several VPCs ({}), an endpoint is in one",
            vpcs.join(", ")
        );
        let mut form = Form::new();
        form.add_list("VpcId", &vpcs);
        let vpcs = api.list::<Vpcs>("DescribeVpcs", &form)?;
        let blocks = vpcs.into_iter().flat_map(|vpc| vpc.cidr_block_association_set);
        Ok(blocks.map(|block| block.cidr_block).collect())
    }

    /// Imports the certificates and creates the endpoint; if it is refused, the certificates go again.
    fn create(&self, api: &Api, certificates: &Certificates) -> anyhow::Result<String> {
        let mut imported = Vec::new();
        let created = self.try_create(api, certificates, &mut imported);
        if created.is_err() {
            for arn in &imported {
                // What is told is why the endpoint was refused.
                let _ = certificate::delete(api, arn);
            }
        }
        Ok(created?)
    }

    fn try_create(
        &self,
        api: &Api,
        certificates: &Certificates,
        imported: &mut Vec<String>,
    ) -> Result<String, ManageError> {
        let server = certificate::import(api, &certificates.server, None, &[])?;
        imported.push(server.clone());
        let root = match &certificates.client {
            Some(material) => {
                let arn = certificate::import(api, material, None, &[])?;
                imported.push(arn.clone());
                arn
            }
            None => server.clone(),
        };
        let mut form = Form::new()
            .with("ClientCidrBlock", &self.client_cidr)
            .with("ServerCertificateArn", server)
            .with("Authentication.1.Type", "certificate-authentication")
            .with(
                "Authentication.1.MutualAuthentication.ClientRootCertificateChainArn",
                root,
            )
            .with("TransportProtocol", self.transport.name())
            .with("SplitTunnel", self.split_tunnel)
            .with("ConnectionLogOptions.Enabled", false);
        form.add_some("VpnPort", self.vpn_port);
        let outside = self.endpoint_ip_address_type.map(IpAddressType::name);
        form.add_some("EndpointIpAddressType", outside);
        add_tags(&mut form, self.name.iter().map(|name| ("Name", name.as_str())));
        let created: Created = api.call("CreateClientVpnEndpoint", &form)?;
        Ok(created.client_vpn_endpoint_id)
    }

    /// Puts the revocation list in force, before the first association lets clients in.
    fn keep_out(api: &Api, id: &str, revoked: Option<&str>) -> anyhow::Result<()> {
        if let Some(list) = revoked {
            crl::import(api, id, list)?;
        }
        Ok(())
    }

    /// Networks, rules, and the profile, once the endpoint is available.
    fn finish(
        &self,
        api: &Api,
        output: &Output,
        id: &str,
        blocks: &[String],
        identity: Option<&Identity>,
    ) -> anyhow::Result<PathBuf> {
        let mut associations = Vec::new();
        for subnet in &self.subnets {
            associations.push(network::associate(api, id, subnet)?.association_id);
        }
        let mut rules = Vec::new();
        for block in blocks {
            rules.push((
                block,
                rule::authorize(api, id, block, None, &[], Some("Quickstart"))?,
            ));
        }
        for association in &associations {
            network::associated(api, output, id, association)?;
        }
        for (block, answer) in &mut rules {
            rule::active(api, output, id, block, None, answer)?;
        }
        settled(output, id, || {
            Ok(Progress::toward(
                "available",
                &["deleting", "deleted"],
                &one(api, id)?.status,
            ))
        })?;
        let path = self
            .profile
            .clone()
            .unwrap_or_else(|| format!("{}.ovpn", clean(id)).into());
        export::write(&path, &export::profile(api, id, identity)?)?;
        Ok(path)
    }
}
