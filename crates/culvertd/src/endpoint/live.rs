//! The part of a running endpoint that can change while clients are connected: its configuration, keys and lists.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use culvert_config::EndpointConfig;
use culvert_control::crl::RevocationList;
use tokio::sync::{mpsc, oneshot};

use super::control::Command;
use super::login::Logins;
use super::material;
use super::settings::{self, ProcessKeys};
use crate::clock;

/// Shared by the daemon and the endpoint's own tasks.
pub(crate) struct Live {
    keys: ProcessKeys,
    commands: mpsc::Sender<Command>,
    run_dir: PathBuf,
    state: Mutex<State>,
    /// Changes are applied one after another.
    applying: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct State {
    config: EndpointConfig,
    crl: Option<RevocationList>,
}

impl Live {
    pub(crate) fn new(
        config: EndpointConfig,
        crl: Option<RevocationList>,
        keys: ProcessKeys,
        commands: mpsc::Sender<Command>,
        run_dir: PathBuf,
    ) -> Self {
        let state = Mutex::new(State { config, crl });
        Self {
            keys,
            commands,
            run_dir,
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

    /// The endpoint's name.
    pub(crate) fn name(&self) -> String {
        self.state().config.name.clone()
    }

    /// Sends a command to the control thread and waits for its answer.
    ///
    /// # Errors
    /// Fails when the endpoint has ended.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.commands
            .send(command(answer))
            .await
            .ok()
            .context("the endpoint has ended")?;
        answered.await.context("the endpoint has ended")
    }

    /// Sends a command that has no answer.
    pub(crate) async fn tell(&self, command: Command) {
        // Fails only when the endpoint has ended, which is what such commands lead to.
        drop(self.commands.send(command).await);
    }

    /// Reads the revocation list again and puts it in force: for new handshakes, and for live clients.
    ///
    /// # Errors
    /// Fails when the list can't be used; the previous one stays in force.
    pub(crate) async fn apply_revocation_list(&self) -> Result<()> {
        let _one_at_a_time = self.applying.lock().await;
        let state = self.state();
        let list = material::revocation_list(&state.config, clock::now().unix)?;
        self.put_in_force(State {
            crl: Some(list.clone()),
            ..state
        })
        .await?;
        self.tell(Command::Revoke(list)).await;
        Ok(())
    }

    /// Puts a changed configuration in force: files are read again, live clients stay.
    ///
    /// # Errors
    /// Fails when something can't be used; the previous configuration stays in force.
    pub(crate) async fn apply(&self, config: EndpointConfig) -> Result<()> {
        let _one_at_a_time = self.applying.lock().await;
        let crl = match config
            .authentication
            .certificates()
            .and_then(|certificates| certificates.crl.as_ref())
        {
            Some(_) => Some(material::revocation_list(&config, clock::now().unix)?),
            None => None,
        };
        let logins = Arc::new(Logins::open(&config, &self.run_dir)?);
        self.put_in_force(State {
            config,
            crl: crl.clone(),
        })
        .await?;
        self.tell(Command::Logins(logins)).await;
        if let Some(list) = crl {
            self.tell(Command::Revoke(list)).await;
        }
        Ok(())
    }

    async fn put_in_force(&self, state: State) -> Result<()> {
        self.keys.clock.set(clock::now().unix);
        let tls = material::tls(&state.config, &self.keys.clock, state.crl.clone())?;
        let settings = settings::settings(&state.config, &self.keys, &tls)?;
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
