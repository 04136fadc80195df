//! The part of a running endpoint that can change while clients are connected: its configuration, keys and lists.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use culvert_config::EndpointConfig;
use culvert_control::crl::RevocationList;
use culvert_core::EndpointSettings;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::connection_log::Target;
use super::control::Command;
use super::material;
use super::settings::{self, ProcessKeys};
use super::start::Prepared;
use crate::clock;

/// The longest a control thread may take to answer. One that is well does so within milliseconds, or some hundred with
/// a hundred thousand clients.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Shared by the daemon and the endpoint's own tasks.
pub(crate) struct Live {
    keys: ProcessKeys,
    commands: mpsc::Sender<Command>,
    state: Mutex<State>,
    /// Changes are applied one after another.
    applying: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct State {
    config: EndpointConfig,
    crl: Option<RevocationList>,
    /// When it became what it is.
    applied_unix: u64,
}

impl Live {
    pub(crate) fn new(
        config: EndpointConfig,
        crl: Option<RevocationList>,
        keys: ProcessKeys,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        let state = Mutex::new(State {
            config,
            crl,
            applied_unix: clock::now().unix,
        });
        Self {
            keys,
            commands,
            state,
            applying: tokio::sync::Mutex::new(()),
        }
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> EndpointConfig {
        self.state().config
    }

    /// When the endpoint last became what it is, in seconds since 1970.
    pub(crate) fn applied_unix(&self) -> u64 {
        self.state().applied_unix
    }

    /// The endpoint's name.
    pub(crate) fn name(&self) -> String {
        self.state().config.name.clone()
    }

    /// Sends a command to the control thread and waits for its answer, but not for ever: whoever asks may hold what the
    /// daemon needs to stop.
    ///
    /// # Errors
    /// Fails when the endpoint has ended or is stuck.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.commands
                .send(command(answer))
                .await
                .ok()
                .context("the endpoint has ended")?;
            answered.await.context("the endpoint has ended")
        };
        timeout(PATIENCE, asked)
            .await
            .context("the endpoint does not answer")?
    }

    /// Sends a command that has no answer.
    pub(crate) async fn tell(&self, command: Command) {
        // Fails when the endpoint has ended, which is what such commands lead to, or is stuck, which the watchdog tells.
        drop(self.commands.send_timeout(command, PATIENCE).await);
    }

    /// Reads the revocation list again and puts it in force: for new handshakes, and for live clients.
    ///
    /// # Errors
    /// Fails when the list can't be used; the previous one stays in force.
    pub(crate) async fn apply_revocation_list(&self) -> Result<()> {
        let _one_at_a_time = self.applying.lock().await;
        let state = self.state();
        let unix = clock::now().unix;
        self.keys.clock.set(unix);
        let list = material::revocation_list(&state.config, unix)?;
        let tls = material::tls(&state.config, &self.keys.clock, Some(list.clone()))?;
        let settings = settings::settings(&state.config, &self.keys, &tls)?;
        let crl = Some(list.clone());
        let state = State {
            crl,
            applied_unix: unix,
            ..state
        };
        self.put_in_force(state, settings).await?;
        self.tell(Command::Revoke(list)).await;
        Ok(())
    }

    /// Puts a changed configuration in force: live clients stay.
    ///
    /// # Errors
    /// Fails when it can't be used; the previous configuration stays in force.
    pub(crate) async fn apply(&self, prepared: Prepared) -> Result<()> {
        let _one_at_a_time = self.applying.lock().await;
        let Prepared {
            config,
            crl,
            settings,
            logins,
        } = prepared;
        let log = Target::of(&config);
        let before = self.state();
        let same = before.config == config;
        let state = State {
            applied_unix: if same {
                before.applied_unix
            } else {
                clock::now().unix
            },
            config,
            crl: crl.clone(),
        };
        self.put_in_force(state, settings).await?;
        self.tell(Command::Logins(logins)).await;
        self.tell(Command::Log(log)).await;
        if let Some(list) = crl {
            self.tell(Command::Revoke(list)).await;
        }
        Ok(())
    }

    async fn put_in_force(&self, state: State, settings: EndpointSettings) -> Result<()> {
        self.ask(|answer| Command::Settings(Box::new(settings), answer))
            .await??;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(())
    }

    /// Warns when the revocation list in force ends within this many seconds: once it has, nobody can connect. Returns
    /// whether it warned.
    pub(crate) fn remind_of_expiry(&self, within: u64) -> bool {
        let state = self.state();
        let Some(list) = &state.crl else { return false };
        let left = list.next_update() - i64::try_from(clock::now().unix).unwrap_or(i64::MAX);
        if left > i64::try_from(within).unwrap_or(i64::MAX) {
            return false;
        }
        tracing::warn!(
            endpoint = state.config.name,
            days_left = left / 86_400,
            "the revocation list expires soon and will then keep everybody out; renew it with `culvert pki renew-crl`"
        );
        true
    }
}
