//! Webhooks in JSON.

use domain::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wire::format_rfc3339;

use crate::webhooks::{DeadLetter, Webhook, WebhookId, WebhookSecret};

/// A webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookJson {
    /// What it is called.
    webhook_id: String,
    /// Whose notices.
    tenant: String,
    /// Where to.
    url: String,
    /// Which kinds; none means all.
    kinds: Vec<String>,
    /// `active`, `failing` (the last attempt failed, there will be another) or `disabled` (nothing is sent).
    state: &'static str,
    /// When, RFC 3339.
    created_at: String,
    /// By which operator's key.
    created_by: String,
    /// Every notice up to this position was received, is a dead letter, or is of no wanted kind.
    position: u64,
    /// How many notices were given up.
    dead_letters: u32,
    /// While it fails: since when, and how the last attempt ended.
    trouble: Option<TroubleJson>,
    /// While it is disabled: since when, and why.
    disabled: Option<DisabledJson>,
    /// Until when deliveries are signed with the secret before, too; RFC 3339.
    overlap_until: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookTrouble)]
struct TroubleJson {
    /// When the first of the attempts failed, RFC 3339.
    since: String,
    /// Attempts so far at the notice that is next.
    attempts: u32,
    /// When the next one is due, RFC 3339.
    next_at: String,
    /// How the last one ended.
    error: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDisabled)]
struct DisabledJson {
    /// RFC 3339.
    since: String,
    /// Why.
    reason: String,
}

/// Webhooks.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookList {
    /// By id.
    pub(crate) webhooks: Vec<WebhookJson>,
}

/// A webhook that was added.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewWebhook {
    #[serde(flatten)]
    webhook: WebhookJson,
    /// What deliveries are signed with: `whsec_` and base64. Null where it was shown before.
    secret: Option<String>,
    /// Whether this command added it before.
    secret_already_shown: bool,
}

/// A secret that was rotated.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedSecret {
    /// Whose.
    webhook_id: String,
    /// The new one. Null where this command made it before.
    secret: Option<String>,
    /// Whether this command rotated it before.
    secret_already_shown: bool,
    /// Until when deliveries are signed with the one before, too; RFC 3339.
    overlap_until: Option<String>,
}

/// A notice that was given up.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterJson {
    /// The notice's.
    position: u64,
    /// When the last attempt was, RFC 3339.
    failed_at: String,
    /// How many there were.
    attempts: u32,
    /// How the last one ended.
    error: String,
    /// Whether it is about to be sent again.
    redelivering: bool,
}

/// Dead letters.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterPage {
    /// By position.
    pub(crate) dead_letters: Vec<DeadLetterJson>,
}

/// A webhook that is no more.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemovedWebhook {
    /// What it was called.
    pub(crate) webhook_id: String,
}

/// What will be sent again.
#[derive(Serialize, ToSchema)]
pub(crate) struct Redelivering {
    /// To which webhook.
    pub(crate) webhook_id: String,
    /// How many dead letters.
    pub(crate) redelivering: u32,
}

impl WebhookJson {
    pub(crate) fn of(id: WebhookId, webhook: &Webhook, now: Timestamp) -> Self {
        Self {
            webhook_id: id.to_string(),
            tenant: webhook.tenant.to_string(),
            url: webhook.url.clone(),
            kinds: webhook.kinds.clone(),
            state: webhook.state().as_str(),
            created_at: time(webhook.created_at),
            created_by: webhook.created_by.clone(),
            position: webhook.done,
            dead_letters: webhook.dead_letters,
            trouble: webhook.trouble.as_ref().map(|trouble| TroubleJson {
                since: time(trouble.since),
                attempts: trouble.attempts,
                next_at: time(trouble.next_at),
                error: trouble.error.clone(),
            }),
            disabled: webhook.disabled.as_ref().map(|disabled| DisabledJson {
                since: time(disabled.since),
                reason: disabled.reason.clone(),
            }),
            overlap_until: webhook.overlap_until(now.as_millis()).map(time),
        }
    }
}

impl NewWebhook {
    /// The one answer that shows the secret.
    pub(crate) fn shown(id: WebhookId, webhook: &Webhook, now: Timestamp) -> Self {
        let secret = Some(webhook.secret().expose().to_string());
        Self { webhook: WebhookJson::of(id, webhook, now), secret, secret_already_shown: false }
    }

    pub(crate) fn repeated(id: WebhookId, webhook: &Webhook, now: Timestamp) -> Self {
        Self { webhook: WebhookJson::of(id, webhook, now), secret: None, secret_already_shown: true }
    }
}

impl RotatedSecret {
    pub(crate) fn of(
        id: WebhookId,
        secret: Option<&WebhookSecret>,
        webhook: &Webhook,
        now: Timestamp,
    ) -> Self {
        Self {
            webhook_id: id.to_string(),
            secret: secret.map(|secret| secret.expose().to_string()),
            secret_already_shown: secret.is_none(),
            overlap_until: webhook.overlap_until(now.as_millis()).map(time),
        }
    }
}

impl DeadLetterJson {
    pub(crate) fn of(position: u64, letter: &DeadLetter) -> Self {
        Self {
            position,
            failed_at: time(letter.failed_at),
            attempts: letter.attempts,
            error: letter.error.clone(),
            redelivering: letter.due,
        }
    }
}

fn time(ms: u64) -> String {
    format_rfc3339(Timestamp::from_millis(ms))
}
