//! Sends what is to be sent: a task a webhook, each with one notice under way at most.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use domain::Position;
use projection::StoredNotice;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use super::Letters;
use super::hook::{DeadLetter, Failure, Then, Webhook, WebhookId};
use super::send::{Delivery, Sender};
use crate::http::App;

/// Attempts under way at once: each holds a thread for as long as its receiver takes. A receiver that hangs gives its place
/// up after [`super::send`]'s limit, and comes again only when its schedule says so.
const SENDING: usize = 32;
/// Notices of one webhook at hand.
const PAGE: usize = 32;
/// How often what was received is made durable: what a crash loses is sent again.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// The pause before a view that does not answer is asked again.
const VIEW_AGAIN: Duration = Duration::from_secs(1);

/// What the tasks share.
struct Tending {
    of: Arc<App>,
    sender: Sender,
    sending: Semaphore,
}

/// What a webhook needs next.
enum Next {
    /// A notice, and whether it is a dead letter.
    Send(StoredNotice, Letter),
    /// Notices up to here are of kinds that it does not want.
    Skip(u64),
    /// Nothing for so long, whatever notices come.
    Rest(Duration),
    /// Nothing until something changes or a notice comes.
    Listen,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Letter {
    No,
    Dead,
}

/// Tends every webhook there is and comes to be. Does not end.
pub(crate) async fn run(app: Arc<App>) {
    let webhooks = app.webhooks.clone();
    let mut changed = webhooks.inner.changed.subscribe();
    begin_within_log(&app).await;
    let sender = Sender::new(webhooks.reach());
    let tending = Arc::new(Tending { of: app, sender, sending: Semaphore::new(SENDING) });
    let mut tasks = JoinSet::new();
    let mut tended = HashMap::new();
    let mut flush = interval(FLUSH_EVERY);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        changed.borrow_and_update();
        let busy: HashSet<WebhookId> = tended.values().copied().collect();
        for (id, _) in webhooks.list(None).into_iter().filter(|(id, _)| !busy.contains(id)) {
            let task = tasks.spawn(Arc::clone(&tending).tend(id));
            tended.insert(task.id(), id);
        }
        tokio::select! {
            _ = changed.changed() => {}
            _ = flush.tick() => webhooks.flush().await,
            Some(ended) = tasks.join_next_with_id() => match ended {
                Ok((task, ())) => { tended.remove(&task); }
                Err(ended) => {
                    // Whatever it was, it should not happen at full speed.
                    error!(error = %ended, "the task of a webhook panicked and begins anew");
                    sleep(VIEW_AGAIN).await;
                    tended.remove(&ended.id());
                }
            },
        }
    }
}

/// After the log was put back to an older copy, positions above its head will be given again, to other events.
async fn begin_within_log(app: &App) {
    let Ok(head) = app.log.head().await else { return };
    for (id, _) in app.webhooks.list(None).into_iter().filter(|(_, webhook)| webhook.done > head.get()) {
        warn!(webhook.id = %id, log.head = head.get(), "a webhook was ahead of the log, and goes on from its head");
        let back = move |webhook: &mut Webhook| {
            webhook.done = head.get();
            ((), Letters::Untouched)
        };
        app.webhooks.progress(id, back).await;
    }
}

impl Tending {
    /// Ends when the webhook is removed, or nothing more is announced because the server stops.
    async fn tend(self: Arc<Self>, id: WebhookId) {
        let mut changed = self.of.webhooks.inner.changed.subscribe();
        // Index and view take an event in at their own pace: whichever comes last has to wake this.
        let mut shown = self.of.notices.status();
        let mut applied = self.of.applied.clone();
        let mut page = VecDeque::new();
        loop {
            changed.borrow_and_update();
            shown.borrow_and_update();
            applied.borrow_and_update();
            let Some(webhook) = self.of.webhooks.find(id) else { return };
            let ended = match self.next(id, &webhook, &mut page).await {
                Next::Send(notice, letter) => {
                    self.send(id, webhook, notice, letter).await;
                    continue;
                }
                Next::Skip(position) => {
                    let skip = move |webhook: &mut Webhook| {
                        webhook.done = webhook.done.max(position);
                        ((), Letters::Untouched)
                    };
                    self.of.webhooks.progress(id, skip).await;
                    continue;
                }
                Next::Rest(pause) => tokio::select! {
                    changed = changed.changed() => changed,
                    () = sleep(pause) => Ok(()),
                },
                Next::Listen => tokio::select! {
                    changed = changed.changed() => changed,
                    shown = shown.changed() => shown,
                    applied = applied.changed() => applied,
                },
            };
            if ended.is_err() {
                return;
            }
        }
    }

    async fn next(&self, id: WebhookId, webhook: &Webhook, page: &mut VecDeque<StoredNotice>) -> Next {
        if webhook.disabled.is_some() {
            // Only a change ends this; a day is as good as any.
            return Next::Rest(Duration::from_secs(24 * 3600));
        }
        if let Some(position) = self.of.webhooks.first_due(id) {
            return self.letter(webhook, position).await;
        }
        let now = self.of.ambient.now().as_millis();
        let due = webhook.trouble.as_ref().map_or(0, |trouble| trouble.next_at);
        if due > now {
            return Next::Rest(Duration::from_millis(due - now));
        }
        page.retain(|notice| notice.position.get() > webhook.done);
        if page.is_empty() {
            let last = self.of.index.tenant(&webhook.tenant).map_or(0, |tenant| tenant.last_notice.get());
            if last <= webhook.done {
                return Next::Listen;
            }
            let done = Position::new(webhook.done);
            match self.of.notices.after(Some(&webhook.tenant), done, PAGE).await {
                Ok(notices) => page.extend(notices),
                Err(_) => return Next::Rest(VIEW_AGAIN),
            }
        }
        let unwanted = page.iter().take_while(|notice| !webhook.wants(notice.kind.as_str())).count();
        match (unwanted, page.front()) {
            (_, None) => Next::Listen,
            (0, Some(notice)) => Next::Send(notice.clone(), Letter::No),
            (count, Some(_)) => Next::Skip(page[count - 1].position.get()),
        }
    }

    /// A dead letter that is to be sent again.
    async fn letter(&self, webhook: &Webhook, position: u64) -> Next {
        let before = Position::new(position.saturating_sub(1));
        match self.of.notices.after(Some(&webhook.tenant), before, 1).await {
            Ok(notices) => match notices.into_iter().next() {
                Some(notice) if notice.position.get() == position => Next::Send(notice, Letter::Dead),
                // The view has yet to show it.
                _ => Next::Rest(VIEW_AGAIN),
            },
            Err(_) => Next::Rest(VIEW_AGAIN),
        }
    }

    async fn send(self: &Arc<Self>, id: WebhookId, webhook: Webhook, notice: StoredNotice, letter: Letter) {
        let Ok(_permit) = self.sending.acquire().await else { return };
        let now = self.of.ambient.now().as_millis();
        let position = notice.position.get();
        let delivery_id = format!("{}-{position}", self.of.log.log_id());
        let delivery = Delivery {
            signature: webhook.sign(&delivery_id, now, &notice.json),
            url: webhook.url,
            id: delivery_id,
            timestamp: now / 1000,
            body: notice.json,
        };
        let tending = Arc::clone(self);
        // Bounded inside. If the server stops meanwhile, the answer counts for nothing and the notice is sent again.
        let sent = spawn_blocking(move || tending.sender.send(&delivery)).await;
        let sent = sent.unwrap_or_else(|_| {
            Err(Failure { error: "sending it panicked".to_owned(), retry_after: None, gone: false })
        });
        self.of.meters.webhook_attempts[usize::from(sent.is_err())].increment(1);
        match letter {
            Letter::No => self.note(id, position, sent).await,
            Letter::Dead => self.note_letter(id, position, sent).await,
        }
    }

    /// What an attempt at the notice that is next came to.
    async fn note(&self, id: WebhookId, position: u64, sent: Result<(), Failure>) {
        let now = self.of.ambient.now().as_millis();
        let mut lot = [0];
        self.of.ambient.fill(&mut lot);
        let schedule = self.of.webhooks.inner.schedule.clone();
        let change = move |webhook: &mut Webhook| match sent {
            Ok(()) => {
                let was_failing = webhook.trouble.is_some();
                webhook.delivered(position);
                (Noted { then: None, first: was_failing, error: String::new() }, Letters::Untouched)
            }
            Err(failure) => {
                let first = webhook.trouble.is_none();
                let then = webhook.failed(&failure, now, &schedule, lot[0]);
                let letters = match then {
                    Then::GivenUp => Letters::Put(position, webhook.give_up(position, now)),
                    Then::Again | Then::Disabled => Letters::Untouched,
                };
                let disabled = webhook.disabled.as_ref().map(|disabled| disabled.reason.clone());
                let then = if disabled.is_some() { Then::Disabled } else { then };
                (Noted { then: Some(then), first, error: disabled.unwrap_or(failure.error) }, letters)
            }
        };
        let Some(noted) = self.of.webhooks.progress(id, change).await else { return };
        let reason = noted.error;
        match noted.then {
            None if noted.first => info!(webhook.id = %id, "a webhook is received again"),
            None => {}
            Some(Then::Again) if noted.first => {
                warn!(webhook.id = %id, log.position = position, reason, "a webhook fails; it is tried again");
            }
            Some(Then::Again) => {}
            Some(Then::GivenUp) => {
                self.of.meters.webhook_dead_letters.increment(1);
                error!(webhook.id = %id, log.position = position, reason, "a notice was given up: a dead letter");
            }
            Some(Then::Disabled) => error!(
                webhook.id = %id, reason,
                "a webhook is disabled: mend its receiver, then `rescind webhook redeliver`"
            ),
        }
    }

    /// What an attempt at a dead letter came to: one attempt each time somebody asks.
    async fn note_letter(&self, id: WebhookId, position: u64, sent: Result<(), Failure>) {
        let now = self.of.ambient.now().as_millis();
        let attempts = self.of.webhooks.dead_letters(id, position.saturating_sub(1), 1).await;
        let attempts = attempts.ok().and_then(|letters| letters.first().map(|(_, letter)| letter.attempts));
        let change = move |webhook: &mut Webhook| match sent {
            Ok(()) => {
                webhook.dead_letters = webhook.dead_letters.saturating_sub(1);
                ((), Letters::Remove(position))
            }
            Err(failure) => {
                let attempts = attempts.unwrap_or_default() + 1;
                let letter = DeadLetter { failed_at: now, attempts, error: failure.error, due: false };
                ((), Letters::Put(position, letter))
            }
        };
        self.of.webhooks.progress(id, change).await;
    }
}

/// What is told of an attempt.
struct Noted {
    /// None after a success.
    then: Option<Then>,
    /// Whether it was otherwise the time before.
    first: bool,
    error: String,
}
