//! What one client was told: its reply, and how that changed since.

use std::collections::VecDeque;
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
    /// told from now on. `known` remembers them for others who are told the same.
    ///
    /// # Errors
    /// None, as all options were checked.
    pub(crate) fn update(
        &mut self,
        common: &Arc<CommonOptions>,
        known: &mut KnownUpdates,
    ) -> Result<Arc<[Vec<u8>]>, SettingsError> {
        let way = Way {
            before: Arc::clone(&self.common),
            after: Arc::clone(common),
            scope: self.scope,
            knows_dns: self.knows_dns,
            udp: self.udp,
        };
        // Options of its own may make its update another one.
        let shared = !self.own.iter().any(|option| update::concerns(option));
        let update = match known.find(&way).filter(|_| shared) {
            Some(update) => update,
            None => {
                let after = self.options(common);
                let changed = update::changes(self.scope, &self.options(&self.common), &after);
                let messages = update_messages(&changed, &after)?.into();
                let update = Update { changed, messages };
                if shared {
                    known.add(way, update.clone());
                }
                update
            }
        };
        for name in update.changed {
            if !self.updated.contains(&name) {
                self.updated.push(name);
            }
        }
        self.common = Arc::clone(common);
        Ok(update.messages)
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

/// From which options to which, and what decides how that is told.
struct Way {
    before: Arc<CommonOptions>,
    after: Arc<CommonOptions>,
    scope: Scope,
    knows_dns: bool,
    udp: bool,
}

impl Way {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.before, &other.before)
            && Arc::ptr_eq(&self.after, &other.after)
            && (self.scope, self.knows_dns, self.udp) == (other.scope, other.knows_dns, other.udp)
    }
}

#[derive(Clone)]
struct Update {
    changed: Vec<&'static str>,
    messages: Arc<[Vec<u8>]>,
}

/// The last few updates: a hundred thousand clients are told of a change with a handful of them.
#[derive(Default)]
pub(crate) struct KnownUpdates(VecDeque<(Way, Update)>);

impl KnownUpdates {
    fn find(&self, way: &Way) -> Option<Update> {
        let found = self.0.iter().find(|(known, _)| known.is(way));
        found.map(|(_, update)| update.clone())
    }

    fn add(&mut self, way: Way, update: Update) {
        /// Both transports and each scope, for the changes of one pause.
        const MOST: usize = 16;
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((way, update));
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
