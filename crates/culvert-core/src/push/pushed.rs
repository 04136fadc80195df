//! What one client was told: its reply, and how that changed since.

use std::sync::Arc;

use culvert_wire::push::{PushKind, PushReplyBuilder};

use super::update::Scope;
use super::{Audience, ClientOptions, CommonOptions, checked, update};
use crate::settings::SettingsError;

/// The options a client has: those of the endpoint as it was when it was told of them last, and its own.
pub(crate) struct Pushed {
    common: Arc<CommonOptions>,
    /// Its own, granted ones first.
    own: Vec<String>,
    knows_dns: bool,
    udp: bool,
    scope: Scope,
    /// Names of options that updates have changed.
    updated: Vec<&'static str>,
}

impl Pushed {
    /// The options of a newcomer.
    ///
    /// # Errors
    /// [`SettingsError::PushOption`] if an option can't be sent.
    pub(crate) fn new(common: Arc<CommonOptions>, client: &ClientOptions<'_>) -> Result<Self, SettingsError> {
        let own = client.granted.iter().cloned().chain(client.own(common.tun_mtu));
        let pushed = Self {
            own: own.collect(),
            knows_dns: client.peer_info.iv_proto().dns_option(),
            udp: client.udp,
            scope: Scope::of(client.peer_info),
            common,
            updated: Vec::new(),
        };
        super::check_options(&pushed.own)?;
        Ok(pushed)
    }

    /// PUSH_REPLY: the messages, each to be sent as one TLS record.
    ///
    /// # Errors
    /// None, as all options were checked.
    pub(crate) fn reply(&self) -> Result<Vec<Vec<u8>>, SettingsError> {
        messages(PushKind::Reply, self.options(&self.common))
    }

    /// Has a reply that was not sent yet tell of these options.
    pub(crate) fn replace(&mut self, common: &Arc<CommonOptions>) {
        self.common = Arc::clone(common);
    }

    /// Whether the client has other options than these, and can be told.
    pub(crate) fn is_behind(&self, common: &Arc<CommonOptions>) -> bool {
        self.scope != Scope::Nothing && !Arc::ptr_eq(&self.common, common)
    }

    /// PUSH_UPDATE: the messages that lead to these options; none if nothing changed that can be updated. They count as
    /// told from now on.
    ///
    /// # Errors
    /// None, as all options were checked.
    pub(crate) fn update(&mut self, common: &Arc<CommonOptions>) -> Result<Vec<Vec<u8>>, SettingsError> {
        let after = self.options(common);
        let changed = update::changes(self.scope, &self.options(&self.common), &after);
        let messages = update_messages(&changed, &after)?;
        for name in changed {
            if !self.updated.contains(&name) {
                self.updated.push(name);
            }
        }
        self.common = Arc::clone(common);
        Ok(messages)
    }

    /// PUSH_UPDATE: everything that updates have changed, once more, for a client that may have missed one.
    ///
    /// # Errors
    /// None, as all options were checked.
    pub(crate) fn repetition(&self) -> Result<Vec<Vec<u8>>, SettingsError> {
        update_messages(&self.updated, &self.options(&self.common))
    }

    fn options<'p>(&'p self, common: &'p CommonOptions) -> Vec<&'p str> {
        let wanted = |audience| match audience {
            Audience::Everyone => true,
            Audience::DnsOption => self.knows_dns,
            Audience::Udp => self.udp,
        };
        let common = common.options.iter();
        common
            .filter(|(_, audience)| wanted(*audience))
            .map(|(option, _)| option)
            .chain(&self.own)
            .map(String::as_str)
            .collect()
    }
}

fn update_messages(changed: &[&'static str], after: &[&str]) -> Result<Vec<Vec<u8>>, SettingsError> {
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let options = update::compose(changed, after);
    messages(PushKind::Update, options.iter().map(String::as_str))
}

fn messages<'o>(
    kind: PushKind,
    options: impl IntoIterator<Item = &'o str>,
) -> Result<Vec<Vec<u8>>, SettingsError> {
    let mut builder = PushReplyBuilder::new(kind);
    for option in options {
        checked(&mut builder, option)?;
    }
    Ok(builder.messages())
}
