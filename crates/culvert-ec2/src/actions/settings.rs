//! Settings that endpoints are created with and that can be modified later: the same members in both forms.

use culvert_query::ApiError;
use culvert_query::params::{Group, ParamError};
use culvert_service::{BannerChange, ConnectChange, EndpointSettings, LogChange, StreamNaming};

use crate::form::{filled, owned, owned_texts, unsupported};

/// Reads them all, as far as given.
pub(super) fn read(form: &Group<'_>) -> Result<EndpointSettings, ApiError> {
    refuse_unsupported(form)?;
    Ok(EndpointSettings {
        connection_log: connection_log(form)?,
        vpn_port: vpn_port(form)?,
        description: owned(form, "Description"),
        split_tunnel: form.boolean("SplitTunnel")?,
        vpc_id: filled(form, "VpcId"),
        security_group_ids: owned_texts(form, "SecurityGroupId"),
        self_service_portal: self_service_portal(form)?,
        client_connect: client_connect(form)?,
        session_timeout_hours: session_timeout_hours(form)?,
        banner: banner(form)?,
        route_enforcement: route_enforcement(form)?,
        disconnect_on_session_timeout: form.boolean("DisconnectOnSessionTimeout")?,
    })
}

/// `ConnectionLogOptions`.
fn connection_log(form: &Group<'_>) -> Result<LogChange, ApiError> {
    let Some(options) = form.group("ConnectionLogOptions") else {
        return Ok(LogChange::default());
    };
    let context = "IncludeAuthorizationPolicyContext";
    if options.boolean(context)? == Some(true) {
        let cure = "there are no authorization policies; set it to false, or leave it out";
        return Err(unsupported(&options.full_name(context), cure));
    }
    Ok(LogChange {
        enabled: options.boolean("Enabled")?,
        group: owned(&options, "CloudwatchLogGroup"),
        stream: owned(&options, "CloudwatchLogStream"),
        naming: StreamNaming::default(),
    })
}

/// `ClientConnectOptions`.
fn client_connect(form: &Group<'_>) -> Result<ConnectChange, ParamError> {
    let Some(options) = form.group("ClientConnectOptions") else {
        return Ok(ConnectChange::default());
    };
    Ok(ConnectChange {
        enabled: options.boolean("Enabled")?,
        function: owned(&options, "LambdaFunctionArn"),
    })
}

/// `ClientLoginBannerOptions`.
fn banner(form: &Group<'_>) -> Result<BannerChange, ParamError> {
    let Some(options) = form.group("ClientLoginBannerOptions") else {
        return Ok(BannerChange::default());
    };
    Ok(BannerChange {
        enabled: options.boolean("Enabled")?,
        text: owned(&options, "BannerText"),
    })
}

/// `ClientRouteEnforcementOptions`.
fn route_enforcement(form: &Group<'_>) -> Result<Option<bool>, ParamError> {
    match form.group("ClientRouteEnforcementOptions") {
        Some(options) => options.boolean("Enforced"),
        None => Ok(None),
    }
}

/// `SelfServicePortal`.
fn self_service_portal(form: &Group<'_>) -> Result<Option<bool>, ParamError> {
    form.choice("SelfServicePortal", &[("enabled", true), ("disabled", false)])
}

/// `VpnPort`.
fn vpn_port(form: &Group<'_>) -> Result<Option<i64>, ParamError> {
    form.integer("VpnPort", 1..=i64::from(u16::MAX))
}

/// `SessionTimeoutHours`.
fn session_timeout_hours(form: &Group<'_>) -> Result<Option<i64>, ParamError> {
    form.integer("SessionTimeoutHours", 1..=24)
}

/// Refuses what endpoints here can't have.
fn refuse_unsupported(form: &Group<'_>) -> Result<(), ApiError> {
    let gateway = "TransitGatewayConfiguration";
    if form.group(gateway).is_some() {
        let cure = "there are no transit gateways; associate subnets instead";
        return Err(unsupported(gateway, cure));
    }
    let posture = "DevicePostureOptions";
    if let Some(options) = form.group(posture) {
        // That there shall be none is no more than the truth.
        let off = options.boolean("Enabled")? == Some(false);
        if !off || !options.groups("TrustProvider").is_empty() {
            return Err(unsupported(
                posture,
                "leave it out, or set only its Enabled to false",
            ));
        }
    }
    Ok(())
}
