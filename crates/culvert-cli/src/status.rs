//! `culvert status`.

use clap::Args;
use culvert_admin::{ClientInfo, EndpointInfo, StatusReport};
use serde_json::json;

use crate::output::{Output, bytes, clean, duration, table, unix_moment};
use crate::setup::Daemon;

/// Arguments of `culvert status`.
#[derive(Args)]
pub(crate) struct Status {
    /// Also list the connected clients
    #[arg(long)]
    clients: bool,
    /// Only this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

impl Status {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let endpoint = self.endpoint.as_deref();
        let (mut report, clients) = self.daemon.talk(async |admin| {
            let report = admin.status().await?;
            let clients = if self.clients {
                Some(admin.clients(endpoint).await?)
            } else {
                None
            };
            Ok((report, clients))
        })?;
        if let Some(wanted) = endpoint {
            report.endpoints.retain(|endpoint| endpoint.name == wanted);
            if report.endpoints.is_empty() {
                let message = format!("the daemon has no endpoint {wanted:?}");
                let code = culvert_admin::ErrorCode::NotFound;
                let error = culvert_admin::RequestError::new(code, message);
                return Err(culvert_admin::AdminError::Refused(error).into());
            }
        }
        let mut document = json!({ "daemon": report.daemon, "endpoints": report.endpoints });
        if let Some(clients) = &clients {
            document["clients"] = json!(clients);
        }
        output.emit(&document, || describe(&report, clients.as_deref()))
    }
}

fn describe(report: &StatusReport, clients: Option<&[ClientInfo]>) -> String {
    let daemon = &report.daemon;
    let mut text = format!(
        "culvertd {}, process {}, up {}\n\n",
        clean(&daemon.version),
        daemon.pid,
        duration(daemon.uptime_seconds)
    );
    text.push_str(&table(
        &[
            "ENDPOINT",
            "STATE",
            "APPLIED AT",
            "LISTENS ON",
            "DEVICE",
            "CLIENT CIDR",
            ">CLIENTS",
            ">ADDRESSES",
            ">WORKERS",
        ],
        report.endpoints.iter().map(endpoint_row),
    ));
    for endpoint in &report.endpoints {
        let states: Vec<_> = endpoint
            .offload
            .all()
            .iter()
            .map(|(name, state)| format!("{name} {state}"))
            .collect();
        text.push_str(&format!(
            "\noffloads of {}: {}\n",
            clean(&endpoint.name),
            states.join(", ")
        ));
    }
    for endpoint in report
        .endpoints
        .iter()
        .filter(|endpoint| !endpoint.drops.is_empty())
    {
        let drops: Vec<_> = endpoint
            .drops
            .iter()
            .map(|(reason, count)| format!("{} {count}", clean(reason)))
            .collect();
        text.push_str(&format!(
            "\ndropped packets of {}: {}\n",
            clean(&endpoint.name),
            drops.join(", ")
        ));
    }
    if let Some(clients) = clients {
        text.push('\n');
        text.push_str(&table(
            &[
                "ID",
                "NAME",
                "ENDPOINT",
                "FROM",
                "VIA",
                "ADDRESS",
                "SINCE",
                "CIPHER",
                ">RECEIVED",
                ">SENT",
                "CLIENT",
            ],
            clients.iter().map(client_row),
        ));
    }
    text
}

fn endpoint_row(endpoint: &EndpointInfo) -> Vec<String> {
    let listeners = endpoint
        .listeners
        .iter()
        .map(|listener| format!("{} {}", listener.transport, listener.address));
    vec![
        endpoint.name.clone(),
        endpoint.state.to_string(),
        endpoint.applied_at_unix.map_or_else(|| "-".into(), unix_moment),
        listeners.collect::<Vec<_>>().join(", "),
        endpoint.device.clone(),
        endpoint.client_cidr.join(", "),
        format!("{}/{}", endpoint.clients, endpoint.max_clients),
        format!("{}/{}", endpoint.pool_in_use, endpoint.pool_capacity),
        endpoint.workers.to_string(),
    ]
}

fn client_row(client: &ClientInfo) -> Vec<String> {
    let name = match (&client.username, &client.common_name) {
        (Some(user), Some(certificate)) if user != certificate => format!("{user} ({certificate})"),
        (Some(name), _) | (None, Some(name)) => name.clone(),
        (None, None) => "-".into(),
    };
    let addresses = [
        client.virtual_v4.map(|v4| v4.to_string()),
        client.virtual_v6.map(|v6| v6.to_string()),
    ];
    let software = [client.iv_ver.clone(), client.iv_plat.clone()];
    vec![
        client.client_id.to_string(),
        name,
        client.endpoint.clone(),
        client.real_address.to_string(),
        client.transport.to_string(),
        addresses.into_iter().flatten().collect::<Vec<_>>().join(", "),
        unix_moment(client.connected_since_unix),
        client.cipher.clone(),
        bytes(client.tunnel_rx_bytes),
        bytes(client.tunnel_tx_bytes),
        software.into_iter().flatten().collect::<Vec<_>>().join(" "),
    ]
}
