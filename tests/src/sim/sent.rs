//! A command on its way: carried out by one node, its answer held against the model the moment it is given.

use std::sync::Arc;
use std::time::Duration;

use application::{
    Ambient, AmendRequest, Application, Changed, CommandError, Confirmed, ImportRequest, IssueRequest,
    RecallRequest, Recalled, Request, RotateRequest,
};
use domain::{
    CancelRotation, CloseTenant, ConfigureTenant, EndSuspension, ExpireKey, FinishRotation, Issuer, KeyId,
    MarkFirstUsed, OpenTenant, ReinstateKey, RemovePolicy, ReportLeak, RevokeKey, RevokeReason, ScopeSet,
    SecretDigest, SetPolicy, StreamName, SuspendKey, TenantId, WarnExpiry, Widening,
};
use parking_lot::Mutex;
use verify::KeyIndex;

use super::ambient::SimAmbient;
use super::asked::{Amend, Body, Change, Recall, Setting, Verb};
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

/// The least time for which an answer waits for the server's own index, before it is given all the same.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);

impl Sent {
    pub(crate) async fn carry_out(self) {
        let told = match self.body.verb.clone() {
            Verb::OnKey(tenant, key_id, change) => self.on_key(tenant, key_id, change).await,
            Verb::OnTenant(tenant, setting) => self.on_tenant(tenant, setting).await,
            Verb::Open { tenant, prefix } => {
                let command = OpenTenant { tenant, name: None, prefix };
                let ended = self.application.open_tenant(&self.body.request(), command).await;
                self.end(&ended)
            }
            Verb::Issue(asked) => {
                let issuer = asked.issuer.map(|key_id| Issuer { key_id, scopes: ScopeSet::default() });
                let request = IssueRequest { tenant: asked.tenant.clone(), grant: asked.grant(), issuer };
                let ended = self.application.issue_key(&self.body.request(), request).await;
                self.model.lock().end_issue(&self.attempt, &ended, self.clock.now())
            }
            Verb::Import(asked, token) => {
                let request = ImportRequest {
                    tenant: asked.tenant.clone(),
                    digest: SecretDigest::of_token(&token),
                    grant: asked.grant(),
                    issuer: asked.issuer,
                };
                let ended = self.application.import_key(&self.body.request(), request).await;
                self.model.lock().end_import(&self.attempt, &ended, self.clock.now())
            }
        };
        self.tell(&told);
    }

    fn end(&self, ended: &Result<Changed, CommandError>) -> String {
        let told = self.model.lock().end_change(&self.attempt, ended, self.clock.now());
        if let Ok(changed) = ended {
            self.must_show(changed);
        }
        told
    }

    async fn on_key(&self, tenant: TenantId, key_id: KeyId, change: Change) -> String {
        let (application, request) = (&*self.application, self.body.request());
        let ended = match change {
            Change::Revoke(reason) => {
                let command = RevokeKey { tenant, key_id, reason, note: None };
                let ended = application.revoke_key(&request, command).await;
                let told = self.end(&ended);
                if ended.is_ok() {
                    self.try_the_key();
                }
                return told;
            }
            Change::Expire(expires_at) => {
                application.expire_key(ExpireKey { tenant, key_id, expires_at }).await
            }
            Change::Amend(amend) => {
                application.amend_key(&request, amend_request(tenant, key_id, *amend)).await
            }
            Change::Suspend(reason, until) => {
                let command = SuspendKey { tenant, key_id, reason, note: None, until };
                application.suspend_key(&request, command).await
            }
            Change::Reinstate => {
                application.reinstate_key(&request, ReinstateKey { tenant, key_id, note: None }).await
            }
            Change::EndSuspension(until) => {
                application.end_suspension(EndSuspension { tenant, key_id }, until).await
            }
            Change::Rotate(rule) => {
                let asked = RotateRequest { tenant, key_id, rule, expires_at: None, issuer: None };
                let ended = application.rotate_key(&request, asked).await;
                return self.model.lock().end_rotate(&self.attempt, &ended, self.clock.now());
            }
            Change::FirstUse(first_used_at) => {
                application.mark_first_used(MarkFirstUsed { tenant, key_id, first_used_at }).await
            }
            Change::Finish(finish) => {
                let ended =
                    application.finish_rotation(&request, FinishRotation { tenant, key_id, finish }).await;
                let told = self.end(&ended);
                if ended.is_ok() {
                    self.try_the_key();
                }
                return told;
            }
            Change::Cancel => application.cancel_rotation(&request, CancelRotation { tenant, key_id }).await,
            Change::Leak => {
                let source = "scan".parse().expect("a word is a source");
                let command = ReportLeak { tenant, key_id, source, url: None };
                let ended = application.report_leak(&request, command).await;
                let told = self.model.lock().end_leak(&self.attempt, &ended, self.clock.now());
                if let Ok(leaked) = &ended {
                    self.must_show(&leaked.changed);
                }
                return told;
            }
            Change::Warn(expires_at, before_ms) => {
                application.warn_expiry(WarnExpiry { tenant, key_id, expires_at, before_ms }).await
            }
        };
        self.end(&ended)
    }

    async fn on_tenant(&self, tenant: TenantId, setting: Setting) -> String {
        let (application, request) = (&*self.application, self.body.request());
        let ended = match setting {
            Setting::Leaks(response) => {
                let leak_response = Some(response);
                let command = ConfigureTenant { tenant, name: None, prefix: None, leak_response };
                application.configure_tenant(&request, command).await
            }
            Setting::Close => application.close_tenant(&request, CloseTenant { tenant, note: None }).await,
            Setting::SetPolicy(policy) => {
                application.set_policy(&request, SetPolicy { tenant, policy: *policy }).await
            }
            Setting::RemovePolicy(name) => {
                application.remove_policy(&request, RemovePolicy { tenant, name }).await
            }
            Setting::Recall(recall) => {
                let ended = self.recall(&request, tenant, &recall).await;
                let told = self.model.lock().end_recall(&self.attempt, &ended, self.clock.now());
                if let Ok(recalled) = &ended {
                    self.must_show(&recalled.changed);
                    self.try_all_keys();
                }
                return told;
            }
        };
        self.end(&ended)
    }

    async fn recall(
        &self,
        request: &Request,
        tenant: TenantId,
        recall: &Recall,
    ) -> Result<Recalled, CommandError> {
        let confirmed = if recall.previewed {
            Confirmed::Shown(self.application.preview_recall(&tenant, recall.selector()).await?.token)
        } else {
            Confirmed::IncludingNew
        };
        let asked = RecallRequest {
            tenant,
            selector: recall.selector(),
            reason: RevokeReason::OwnerLeft,
            note: None,
            confirmed,
            cascade: recall.cascade,
        };
        self.application.recall_keys(request, asked).await
    }

    /// A change that was answered at once is in this server's own index by then; a slow one only promises to try.
    fn must_show(&self, changed: &Changed) {
        if !self.body.is_shown() || changed.repeated || self.index.applied() >= changed.position {
            return;
        }
        let committed = self.truth.lock().at(changed.position).map(|event| event.at);
        if committed.is_some_and(|at| at.elapsed() < SHOWN_WITHIN) {
            let fault = format!("{} was acknowledged before the server's own index showed it", self.body);
            self.model.lock().fault.get_or_insert(fault);
        }
    }

    /// Presents every key after a recall, before any other task of the node can do anything.
    fn try_all_keys(&self) {
        let mut model = self.model.lock();
        let fault = model.held.values().find_map(|held| self.judged(&model, &Ask::plain(held)).err());
        if let Some(fault) = fault {
            model.fault.get_or_insert(fault);
        }
    }

    fn judged(&self, model: &Model, ask: &Ask) -> Result<(), String> {
        let answer = ask.put(&self.index, &self.clock);
        Judged {
            node: self.attempt.node,
            now: self.clock.now(),
            away_since: None,
            settled: false,
            model,
            truth: &self.truth.lock(),
        }
        .check(ask, &answer)
    }

    /// Presents the key that was just revoked, before any other task of the node can do anything.
    fn try_the_key(&self) {
        let StreamName::Key(_, key_id) = self.body.stream() else { return };
        let mut model = self.model.lock();
        let Some(ask) = model.held.get(&key_id).map(Ask::plain) else { return };
        if let Err(fault) = self.judged(&model, &ask) {
            model.fault.get_or_insert(fault);
        }
    }

    fn tell(&self, told: &str) {
        self.trace.lock().line(&format!("node {}: {}: {told}", self.attempt.node, self.body));
    }
}

fn amend_request(tenant: TenantId, key_id: KeyId, amend: Amend) -> AmendRequest {
    let Amend { name, labels, owner, scopes, networks, expires_at } = amend;
    AmendRequest {
        tenant,
        key_id,
        name: name.map(Some),
        labels,
        owner,
        scopes,
        networks,
        expires_at,
        by: Issuer { key_id: KeyId::from_u128(1), scopes: ScopeSet::default() },
        widening: Widening::Allowed,
    }
}
