//! Asks the connect handler of an endpoint about clients that have proved who they are.

use anyhow::{Context, Result};
use culvert_config::{ConnectHandler, EndpointConfig, HandlerTarget};
use culvert_core::{AuthRequest, Rejection};
use culvert_handler::{Admission, GroupsForm, Handler, HandlerOptions, Question, SchemaVersion, Target};
use culvert_service::ConnectionId;

/// Opens the handler an endpoint's configuration names.
///
/// # Errors
/// Fails when its program can't be run, or a file it names can't be read.
pub(super) fn open(config: &EndpointConfig) -> Result<Option<Handler>> {
    let Some(handler) = &config.connect_handler else {
        return Ok(None);
    };
    let opened = options(handler).and_then(|options| Ok(Handler::new(options)?));
    opened
        .with_context(|| {
            format!(
                "Failed to prepare {} of endpoint {}",
                handler.function, config.name
            )
        })
        .map(Some)
}

fn options(handler: &ConnectHandler) -> Result<HandlerOptions> {
    let target = match &handler.target {
        HandlerTarget::Command { program, arguments } => Target::Program {
            path: program.clone(),
            arguments: arguments.clone(),
        },
        HandlerTarget::Url { url, ca } => {
            let read = |path: &std::path::PathBuf| {
                std::fs::read(path).with_context(|| format!("Failed to read {}", path.display()))
            };
            Target::Web {
                url: url.clone(),
                authority: ca.as_ref().map(read).transpose()?,
            }
        }
    };
    let mut options = HandlerOptions::new(target);
    options.schema_version = match handler.schema_version {
        1 => SchemaVersion::V1,
        2 => SchemaVersion::V2,
        _ => SchemaVersion::V3,
    };
    if handler.groups_as_text {
        options.groups_form = GroupsForm::Text;
    }
    options.limit = handler.timeout;
    options.concurrency = handler.concurrency.into();
    Ok(options)
}

/// Asks about a client whose login leads to these groups. Returns what the handler knows about it.
///
/// # Errors
/// [`Rejection`] if it isn't to be let in.
pub(super) async fn ask(
    handler: &Handler,
    endpoint: &str,
    connection: &ConnectionId,
    request: &AuthRequest,
    groups: &[String],
) -> Result<Admission, Rejection> {
    let question = question(endpoint, connection, request, groups);
    handler.ask(&question).await.map_err(|refusal| Rejection {
        code: Some(refusal.reason.name()),
        log: format!("{}: {}", refusal.reason.name(), refusal.detail),
        client_message: Some(refusal.message),
        retry_after: None,
    })
}

fn question(endpoint: &str, connection: &ConnectionId, request: &AuthRequest, groups: &[String]) -> Question {
    let info = |name: &str| request.peer_info.get(name).unwrap_or_default().to_owned();
    let certificate = request.certificate.as_ref();
    Question {
        connection_id: connection.to_string(),
        endpoint_id: endpoint.to_owned(),
        common_name: certificate
            .map(|certificate| certificate.common_name.clone())
            .unwrap_or_default(),
        username: request.username.clone().unwrap_or_default(),
        platform: info("IV_PLAT"),
        platform_version: info("IV_PLAT_VER"),
        public_ip: request.link.remote().ip(),
        client_openvpn_version: info("IV_VER"),
        groups: groups.to_vec(),
        // How AWS's own client tells its version isn't published; a client with a user interface tells that one's.
        aws_client_version: info("IV_GUI_VER"),
    }
}
