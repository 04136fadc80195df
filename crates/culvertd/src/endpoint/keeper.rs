//! Keeps an endpoint's TUN device and firewall rules in place: makes them, makes the device anew when somebody deleted it, and
//! removes both at the end.

use std::time::Duration;

use anyhow::{Context, Result};
use culvert_config::{EgressRule, EndpointConfig, IpProtocol, Offload, PortRange};
use culvert_tun::firewall::{self, Egress, EgressProtocol, Firewall, Masquerade, Ruleset};
use culvert_tun::{TunDevice, TunOffloads, TunOptions, forwarding};
use ipnetwork::IpNetwork;
use tokio::sync::{mpsc, oneshot, watch};

use super::tun::NumberedQueue;

/// How often the device is tried to be made anew, and the pause between two tries.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// What the keeper is asked.
pub(crate) enum Order {
    /// Replace the NAT rules by those of this configuration.
    Nat(Box<EndpointConfig>, oneshot::Sender<Result<()>>),
}

/// The device and its rules, and the channels to the workers that read its queues.
pub(crate) struct DeviceKeeper {
    config: EndpointConfig,
    offload: Offload,
    generation: u64,
    queues: Vec<mpsc::Sender<NumberedQueue>>,
    device: Option<TunDevice>,
    /// Told of the offloads of each new device.
    offloads: watch::Sender<Option<TunOffloads>>,
    firewall: Option<Firewall>,
}

impl DeviceKeeper {
    /// Makes the device with one queue per worker, and the rules, and hands the queues out.
    ///
    /// # Errors
    /// Fails when the device or the rules can't be made; nothing is left behind then.
    pub(crate) async fn create(
        config: &EndpointConfig,
        offload: Offload,
        queues: Vec<mpsc::Sender<NumberedQueue>>,
    ) -> Result<Self> {
        let mut keeper = Self {
            config: config.clone(),
            offload,
            generation: 0,
            queues,
            device: None,
            offloads: watch::Sender::new(None),
            firewall: None,
        };
        // The device first: only its owner may touch the table that is named after it.
        keeper.make_device().await?;
        firewall::remove_stale(&config.device)
            .await
            .context("Failed to remove the firewall rules a former run left")?;
        keeper.make_firewall().await?;
        keeper.warn_about_forwarding().await;
        Ok(keeper)
    }

    /// The offloads of the present device.
    pub(crate) fn offloads(&self) -> watch::Receiver<Option<TunOffloads>> {
        self.offloads.subscribe()
    }

    async fn make_device(&mut self) -> Result<()> {
        let config = &self.config;
        let options = TunOptions {
            queues: self.queues.len(),
            mtu: config.tun_mtu,
            v4: config
                .server_v4()
                .zip(config.client_cidr_block.map(|block| block.prefix())),
            v6: config
                .server_v6()
                .zip(config.client_ipv6_cidr_block.map(|block| block.prefix())),
            offload: self.offload.tun,
            offload_udp: self.offload.tun_udp,
            join: self.offload.tun_join,
            ..TunOptions::new(&config.device)
        };
        let mut device = TunDevice::create(&options)
            .await
            .with_context(|| format!("Failed to make the TUN device of endpoint {}", config.name))?;
        self.generation += 1;
        for (queue, sender) in device.take_queues().into_iter().zip(&self.queues) {
            // A worker that is gone takes the endpoint down by itself.
            drop(
                sender
                    .send(NumberedQueue {
                        generation: self.generation,
                        queue,
                    })
                    .await,
            );
        }
        self.offloads.send_replace(Some(device.offloads()));
        self.device = Some(device);
        Ok(())
    }

    async fn make_firewall(&mut self) -> Result<()> {
        let rules = ruleset(&self.config);
        match &self.firewall {
            Some(firewall) => firewall
                .replace(&rules)
                .await
                .context("Failed to replace the firewall rules")?,
            None if rules.is_empty() => {}
            None => {
                let firewall = Firewall::install(&self.config.device, &rules)
                    .await
                    .with_context(|| {
                        format!(
                            "Failed to set the firewall rules of endpoint {}",
                            self.config.name
                        )
                    })?;
                self.firewall = Some(firewall);
            }
        }
        Ok(())
    }

    async fn warn_about_forwarding(&self) {
        let config = &self.config;
        if config.target_networks.is_empty() {
            return;
        }
        let v4 = config.client_cidr_block.is_some();
        let v6 = config.client_ipv6_cidr_block.is_some();
        let problems = match forwarding::report(&config.device, v4, v6).await {
            Ok(problems) => problems,
            // Without nft the rules of other firewalls can't be known; the switches can.
            Err(_) => forwarding::check(v4, v6),
        };
        for problem in problems {
            tracing::warn!(
                endpoint = config.name,
                "clients will not reach the networks behind the endpoint: {problem}"
            );
        }
    }

    /// Runs until `orders` ends. Returns an error when a deleted device can't be made anew: the service manager should
    /// then restart the daemon.
    pub(crate) async fn run(
        mut self,
        mut gone: mpsc::Receiver<u64>,
        mut orders: mpsc::Receiver<Order>,
    ) -> Result<()> {
        loop {
            tokio::select! {
                Some(generation) = gone.recv() => {
                    // Each worker reports the same loss; only the first report of the current device counts.
                    if generation == self.generation {
                        self.replace_device().await?;
                    }
                }
                order = orders.recv() => match order {
                    Some(Order::Nat(config, done)) => {
                        let before = std::mem::replace(&mut self.config, *config);
                        let made = self.make_firewall().await;
                        if made.is_err() {
                            self.config = before;
                        }
                        drop(done.send(made));
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    async fn replace_device(&mut self) -> Result<()> {
        let (endpoint, device) = (self.config.name.clone(), self.config.device.clone());
        tracing::error!(endpoint, device, "the TUN device was deleted; making it anew");
        self.device = None;
        let mut tries = 0;
        while let Err(error) = self.make_device().await {
            tries += 1;
            if tries == TRIES {
                return Err(error.context("Failed to make the deleted TUN device anew; giving up"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::info!(endpoint, device, "the TUN device is back");
        Ok(())
    }
}

fn ruleset(config: &EndpointConfig) -> Ruleset {
    Ruleset {
        masquerades: masquerades(config),
        egress: config.egress.as_deref().map(egress),
    }
}

/// What security groups allow, by the firewall's names.
fn egress(rules: &[EgressRule]) -> Vec<Egress> {
    let ports = |range: &PortRange| range.first..=range.last;
    let mut allowed = Vec::with_capacity(rules.len());
    for rule in rules {
        allowed.push(Egress {
            destination: rule.destination,
            protocol: match &rule.protocol {
                IpProtocol::All => EgressProtocol::All,
                IpProtocol::Tcp(range) => EgressProtocol::Tcp(ports(range)),
                IpProtocol::Udp(range) => EgressProtocol::Udp(ports(range)),
                IpProtocol::Icmp => EgressProtocol::Icmp,
                IpProtocol::IcmpType { kind, code } => EgressProtocol::IcmpType {
                    kind: *kind,
                    code: *code,
                },
            },
        });
    }
    allowed
}

fn masquerades(config: &EndpointConfig) -> Vec<Masquerade> {
    let clients_v4 = config.client_cidr_block.map(IpNetwork::V4);
    let clients_v6 = config.client_ipv6_cidr_block.map(IpNetwork::V6);
    config
        .nat_rules()
        .into_iter()
        .filter_map(|rule| {
            let clients = if rule.destination.is_ipv4() {
                clients_v4
            } else {
                clients_v6
            };
            Some(Masquerade {
                clients: clients?,
                destination: rule.destination,
                interface: rule.interface,
            })
        })
        .collect()
}
