//! Change hooks: who may call, what a call means, and what becomes of its changes.
//!
//! ```text
//!   call ──► declared? password? ──► body ──► signature ──► dialect ──► function of the configuration ──► order
//! ```
//! The password is looked at before the body is read, the signature afterwards, because it is over the body. Wrong tries
//! count together. Nothing of a call is recorded unless all of it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::admission::same_text;
use super::declared_place::placed;
use super::{Handle, HookAccess, Reply, SubmissionResult};
use crate::model::{Actor, HookDialect, HookPlan, Intake, NewChange, Order, Plan, Text, Value};
use crate::secrets::Secrets;
use crate::vcs::{self, Heard, HookCall, HookError, Meaning};

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAnswer {
    /// What became of its changes, in order.
    Changes(Vec<SubmissionResult>),
    /// There are none: why.
    Nothing(String),
}

impl Handle {
    /// Whether a change hook may be called, as far as the head of a call tells: it is declared, its password, if it has
    /// one, is right, and there were not too many wrong tries.
    pub fn may_hook(&self, hook: &str, credentials: Option<(&str, &str)>, peer: Option<SocketAddr>) -> HookAccess {
        let plan = self.plan();
        let Some(HookPlan { user, password, .. }) = plan.web.hooks.get(hook) else { return HookAccess::Denied };
        // Whether a signature is right is known when the body is there.
        let Some(password) = password else { return HookAccess::Open };
        self.shared.admission.with_tries(&tried(hook), peer, || {
            let Some(password) = self.revealed(hook, &plan, password) else { return false };
            credentials.is_some_and(|(name, given)| {
                let right_name = user.as_deref().is_none_or(|user| same_text(user, name));
                same_text(&password, given) && right_name
            })
        })
    }

    /// Takes a call of a change hook that [`Self::may_hook`] let in; what becomes of its changes is durable when it
    /// returns.
    ///
    /// # Errors
    /// When nothing of it is taken: it proves nothing, it is not what the forge sends, or we cannot.
    pub async fn hook(&self, hook: &str, call: HookCall, peer: Option<SocketAddr>) -> Result<HookAnswer, HookError> {
        let plan = self.plan();
        let hook_plan = plan.web.hooks.get(hook);
        let hook_plan = hook_plan.ok_or_else(|| HookError::new(404, format!("the change hook `{hook}` is closed")))?;
        self.check_signature(hook, &plan, hook_plan, &call, peer)?;
        let Heard { event, meaning, payload } = vcs::hear(hook_plan, &call)?;
        if meaning == Meaning::Ping {
            return Ok(HookAnswer::Nothing("the change hook works".to_owned()));
        }
        let (mut changes, demanded, ignored) = match meaning {
            Meaning::Changes { changes, addresses, demanded } => (placed(&plan, changes, &addresses), demanded, None),
            Meaning::Ignored(why) => (Vec::new(), false, Some(why)),
            Meaning::Ping => (Vec::new(), false, None),
        };
        // Two hooks may get deliveries of one name, by chance or by somebody who guesses it.
        let delivery = match hook_plan.dialect {
            HookDialect::Base => call.delivery(),
            HookDialect::Generic => call.delivery().map(|name| format!("{hook}:{name}")),
            HookDialect::GitHub
            | HookDialect::GitLab
            | HookDialect::Gitea
            | HookDialect::Bitbucket
            | HookDialect::BitbucketServer => call.forge_delivery().map(|name| format!("{hook}:{name}")),
        };
        let mut always = Vec::new();
        if demanded {
            std::mem::swap(&mut always, &mut changes);
        }
        if hook_plan.wake {
            changes.append(&mut always);
            return self.wake(hook, changes, delivery, ignored).await;
        }
        if let Some(function) = hook_plan.changes {
            let told: Vec<Value> = changes.iter().chain(&always).map(vcs::record_of).collect();
            let facts = Value::Map(BTreeMap::from([
                ("dialect".to_owned(), hook_plan.dialect.word().into()),
                ("event".to_owned(), event.into()),
                ("payload".to_owned(), Value::from_json(&payload)),
                ("changes".to_owned(), Value::List(told)),
            ]));
            let functions = &self.shared.hooks;
            let made = functions.changes(hook, (&plan.digest, function), facts, demanded).await?;
            (changes, always) = (placed(&plan, made.0, &[]), placed(&plan, made.1, &[]));
        }
        if changes.is_empty() && always.is_empty() {
            let why = ignored.unwrap_or_else(|| "the function `changes` of the hook keeps none of it".to_owned());
            return Ok(HookAnswer::Nothing(why));
        }
        let mut intake = Vec::new();
        if !always.is_empty() {
            // A delivery of its own, so that a repeated one finds both.
            let delivery =
                delivery.as_ref().map(|name| if changes.is_empty() { name.clone() } else { format!("{name}+") });
            intake.extend(self.tell(hook, always, delivery, Intake::Always).await?);
        }
        if !changes.is_empty() {
            intake.extend(self.tell(hook, changes, delivery, Intake::Report).await?);
        }
        Ok(HookAnswer::Changes(intake))
    }

    fn check_signature(
        &self,
        hook: &str,
        plan: &Plan,
        hook_plan: &HookPlan,
        call: &HookCall,
        peer: Option<SocketAddr>,
    ) -> Result<(), HookError> {
        let Some(secret) = &hook_plan.secret else { return Ok(()) };
        let mut wrong = "the secret of this hook cannot be read; the master's log says why".to_owned();
        if let Some(secret) = self.revealed(hook, plan, secret) {
            let now = self.shared.admission.now();
            match vcs::check_proof(hook_plan.dialect, &hook_plan.settings, &secret, call, now) {
                // Nobody guesses a signature, so a right one counts however many wrong ones came from its address: a
                // stranger behind the same proxy must not silence the forge.
                Ok(()) => return Ok(()),
                Err(why) => wrong = why,
            }
        }
        match self.shared.admission.with_tries(&tried(hook), peer, || false) {
            HookAccess::Open => Ok(()),
            HookAccess::Denied => Err(HookError::new(401, wrong)),
            HookAccess::TooManyTries { wait } => {
                let message = format!("too many wrong signatures from this address; try again in {wait} s");
                Err(HookError { wait: Some(wait), ..HookError::new(429, message) })
            }
        }
    }

    /// The value of a secret of a hook. An empty one would let everybody in.
    fn revealed(&self, hook: &str, plan: &Plan, secret: &Text) -> Option<String> {
        match Secrets::new(&plan.secrets, &self.shared.options.base()).reveal(secret) {
            Ok((secret, _)) if secret.is_empty() => {
                tracing::warn!(hook, "rejected a change hook request: the secret of the hook is empty");
                None
            }
            Ok((secret, _used)) => Some(secret),
            Err(error) => {
                tracing::warn!(hook, "rejected a change hook request: {}", error.message);
                None
            }
        }
    }

    async fn wake(
        &self,
        hook: &str,
        changes: Vec<NewChange>,
        delivery: Option<String>,
        ignored: Option<String>,
    ) -> Result<HookAnswer, HookError> {
        let mut repositories: Vec<String> = changes.into_iter().map(|change| change.repository).collect();
        repositories.sort();
        repositories.dedup();
        if let Some(why) = ignored {
            return Ok(HookAnswer::Nothing(why));
        }
        if repositories.iter().all(String::is_empty) {
            return Err(HookError::bad("the call names no repository whose pollers could be woken"));
        }
        let named = |repository| NewChange { repository, ..NewChange::default() };
        let changes = repositories.into_iter().map(named).collect();
        self.tell(hook, changes, delivery, Intake::Wake).await.map(HookAnswer::Changes)
    }

    async fn tell(
        &self,
        hook: &str,
        changes: Vec<NewChange>,
        delivery: Option<String>,
        intake: Intake,
    ) -> Result<Vec<SubmissionResult>, HookError> {
        let order = Order::AddChanges { changes, delivery, intake };
        match self.order(order, Actor::Hook { dialect: hook.to_owned() }).await {
            Ok(Reply::Changes(intake)) => Ok(intake),
            Ok(Reply::Refused(message) | Reply::Unknown(message)) => Err(HookError::bad(message)),
            Ok(Reply::Denied(message)) => Err(HookError::new(403, message)),
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(HookError::new(503, error.to_string())),
        }
    }
}

/// Under what name wrong tries of a hook are counted.
fn tried(hook: &str) -> String {
    format!("change_hook {hook}")
}
