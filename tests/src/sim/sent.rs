//! A command on its way: carried out by one node, its answer held against the model the moment it is given.

use std::sync::Arc;

use application::{Ambient, Application};
use domain::StreamName;
use parking_lot::Mutex;
use verify::KeyIndex;

use super::ambient::SimAmbient;
use super::asked::{Body, Verb, expire_key, open_tenant, revoke_key};
use super::judge::{Ask, Judged};
use super::model::{Attempt, Model};
use super::trace::Trace;
use super::truth::Truth;

pub(crate) struct Sent {
    pub(crate) attempt: Attempt,
    pub(crate) body: Body,
    pub(crate) application: Arc<Application>,
    pub(crate) index: Arc<KeyIndex>,
    pub(crate) clock: Arc<SimAmbient>,
    pub(crate) model: Arc<Mutex<Model>>,
    pub(crate) truth: Arc<Mutex<Truth>>,
    pub(crate) trace: Arc<Mutex<Trace>>,
}

impl Sent {
    pub(crate) async fn carry_out(self) {
        let (application, request) = (&*self.application, self.body.request());
        let change = match &self.body.verb {
            Verb::Issue(issue) => {
                let ended = application.issue_key(&request, issue.request()).await;
                let told = self.model.lock().end_issue(&self.attempt, &ended, self.clock.now());
                return self.tell(&told);
            }
            Verb::Open { tenant, prefix } => {
                application.open_tenant(&request, open_tenant(tenant, prefix)).await
            }
            Verb::Revoke { tenant, key_id, reason } => {
                application.revoke_key(&request, revoke_key(tenant, *key_id, *reason)).await
            }
            Verb::Expire { tenant, key_id, expires_at } => {
                application.expire_key(expire_key(tenant, *key_id), *expires_at).await
            }
        };
        let told = self.model.lock().end_change(&self.attempt, &change, self.clock.now());
        self.tell(&told);
        if self.body.is_revoke() && change.is_ok() {
            self.try_the_key();
        }
    }

    /// Presents the key that was just revoked, before any other task of the node can do anything.
    fn try_the_key(&self) {
        let StreamName::Key(_, key_id) = self.body.stream() else { return };
        let mut model = self.model.lock();
        let Some(ask) = model.held.get(&key_id).map(Ask::plain) else { return };
        let answer = ask.put(&self.index, &self.clock);
        let checked = Judged {
            node: self.attempt.node,
            now: self.clock.now(),
            away_since: None,
            settled: false,
            model: &model,
            truth: &self.truth.lock(),
        }
        .check(&ask, &answer);
        if let Err(fault) = checked {
            model.fault.get_or_insert(fault);
        }
    }

    fn tell(&self, told: &str) {
        self.trace.lock().line(&format!("node {}: {}: {told}", self.attempt.node, self.body));
    }
}
