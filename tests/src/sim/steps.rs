//! What may happen in one step, and how often.

use domain::{
    CommandId, Environment, KeyId, Label, Labels, Networks, PersonalText, RevokeReason, ScopeSet, TenantId,
};

use application::Ambient;

use super::asked::{Body, Issue, Verb};
use super::rng::Rng;
use super::world::{World, tenant};

/// Keys of one run: enough to meet in the same shards and pages, few enough to ask for all of them all the time.
const MAX_KEYS: usize = 30;
/// The most copies of a command that are sent at once.
const AT_ONCE: u64 = 4;
/// The slowest line: an answer that takes longer than this, twice, outlives a lease.
const SLOW_MAX_MS: u64 = 3_000;

impl World {
    pub(crate) async fn take_step(&mut self) {
        match self.rng.below(100) {
            0..4 => self.open(),
            4..30 => self.issue(),
            30..44 => self.revoke(),
            44..52 => self.expire(),
            52..62 => self.ask_again(),
            62..66 => self.crowd(),
            66..70 => self.crash().await,
            70..73 => self.stop().await,
            73..85 => self.start_one().await,
            85..87 => self.cut_one(),
            87..89 => self.slow_one(),
            89..92 => self.mend_one(),
            92..94 => self.trouble_one(),
            _ => self.calm_one(),
        }
    }

    fn any_node(&mut self) -> usize {
        usize::try_from(self.rng.below(self.nodes.len() as u64)).unwrap_or(0)
    }

    fn open(&mut self) {
        let Some((tenant, prefix)) = tenant(self.rng.below(3)) else { return };
        let verb = Verb::Open { tenant, prefix };
        self.ask(verb);
    }

    fn issue(&mut self) {
        if self.truth.lock().keys.len() >= MAX_KEYS {
            return;
        }
        let node = self.any_node();
        let now = self.nodes[node].node.clock.now().as_millis();
        // Mostly where a tenant is open for sure.
        let number = if self.rng.one_in(3) { self.rng.below(3) } else { 0 };
        let Some((tenant, _)) = tenant(number) else { return };
        let expires_at = match self.rng.below(6) {
            0 => Some(now + 1 + self.rng.below(3_000)),
            1 => Some(now + 1_000 + self.rng.below(60_000)),
            2 => Some(now - self.rng.below(1_000)),
            _ => None,
        };
        let issue = Issue {
            tenant,
            environment: if self.rng.one_in(4) { Environment::Test } else { Environment::Live },
            owner: owner(&mut self.rng),
            scopes: scopes(&mut self.rng),
            labels: labels(&mut self.rng),
            networks: networks(&mut self.rng),
            expires_at: expires_at.map(domain::Timestamp::from_millis),
        };
        self.ask(Verb::Issue(Box::new(issue)));
    }

    fn revoke(&mut self) {
        if let Some((tenant, key_id)) = self.any_key() {
            let reason = RevokeReason::ALL[usize::try_from(self.rng.below(9)).unwrap_or(0)];
            self.ask(Verb::Revoke { tenant, key_id, reason });
        }
    }

    /// Asks for the expiry of a key, mostly of one whose time is up.
    fn expire(&mut self) {
        let Some((tenant, key_id)) = self.any_key() else { return };
        let expires_at =
            self.truth.lock().keys.get(&(tenant.clone(), key_id)).and_then(|key| key.issued.expires_at);
        let Some(expires_at) = expires_at else { return };
        let id = format!("expiry-{key_id}-{}", expires_at.as_millis());
        let Ok(command_id) = id.parse() else { return };
        let verb = Verb::Expire { tenant, key_id, expires_at };
        self.send_about(Body {
            command_id,
            verb,
            asked_at: domain::Timestamp::from_millis(0),
            may_be_repeat: true,
        });
    }

    /// Several commands on one key at once, each its own.
    fn crowd(&mut self) {
        let Some((tenant, key_id)) = self.any_key() else { return };
        for _ in 0..=self.rng.below(AT_ONCE) {
            let reason = RevokeReason::ALL[usize::try_from(self.rng.below(9)).unwrap_or(0)];
            self.ask(Verb::Revoke { tenant: tenant.clone(), key_id, reason });
        }
    }

    /// Sends something again that was asked before, sometimes with another body, to whichever node.
    fn ask_again(&mut self) {
        let body = self.rng.pick(&self.model.lock().asked).cloned();
        let Some(mut body) = body else { return };
        body.may_be_repeat = true;
        if self.rng.one_in(5) {
            self.change(&mut body.verb);
        }
        self.send_about(body);
    }

    /// Makes another request of one, which stays under its command id.
    fn change(&mut self, verb: &mut Verb) {
        match verb {
            Verb::Open { prefix, .. } => *prefix = "other".parse().unwrap_or_default(),
            Verb::Issue(issue) => issue.owner = owner(&mut self.rng),
            Verb::Revoke { reason, .. } => {
                *reason = RevokeReason::ALL[usize::try_from(self.rng.below(9)).unwrap_or(0)];
            }
            Verb::Expire { .. } => {}
        }
    }

    /// Asks for something new, under an id that is made up for it or comes from the client.
    pub(crate) fn ask(&mut self, verb: Verb) {
        let client_supplied = self.rng.one_in(2);
        let id = if client_supplied {
            format!("campaign-{}-{}", self.step, self.rng.below(1_000)).parse().ok()
        } else {
            Some(CommandId::from_u128(u128::from(self.rng.next()) << 64 | u128::from(self.rng.next())))
        };
        let Some(command_id) = id else { return };
        let body = Body {
            command_id,
            verb,
            asked_at: domain::Timestamp::from_millis(0),
            may_be_repeat: client_supplied,
        };
        self.model.lock().asked.push(body.clone());
        self.send_about(body);
    }

    /// Sends a command to one node; if it may be a repeat, sometimes to several, and several times, at once.
    fn send_about(&mut self, body: Body) {
        let copies = if body.may_be_repeat && self.rng.one_in(4) { 1 + self.rng.below(AT_ONCE) } else { 1 };
        for _ in 0..copies {
            let node = self.any_node();
            self.send(node, body.clone());
        }
    }

    fn any_key(&mut self) -> Option<(TenantId, KeyId)> {
        if self.rng.one_in(20) {
            // One that never was.
            let (tenant, _) = tenant(self.rng.below(3))?;
            return Some((tenant, KeyId::from_u128(u128::from(self.rng.below(3)))));
        }
        let keys: Vec<_> =
            self.truth.lock().keys.keys().filter(|(tenant, _)| !tenant.is_operators()).cloned().collect();
        self.rng.pick(&keys).cloned()
    }

    async fn crash(&mut self) {
        let node = self.any_node();
        if self.nodes[node].node.running.is_some() {
            self.say(&format!("node {node} is killed"));
            self.seen.note("crash");
            let rng = &mut self.rng;
            self.nodes[node].node.crash(|unflushed| kept(rng, unflushed)).await;
        }
    }

    async fn stop(&mut self) {
        let node = self.any_node();
        if self.nodes[node].node.running.is_some() {
            self.say(&format!("node {node} stops"));
            self.seen.note("stop");
            self.nodes[node].node.stop().await;
            if self.rng.one_in(8) {
                self.say(&format!("node {node}: its saved index is damaged"));
                self.seen.note("damaged snapshot");
                let at = self.rng.next();
                self.nodes[node].node.disk.damage_snapshot(at);
            }
        }
    }

    async fn start_one(&mut self) {
        let down = (0..self.nodes.len()).find(|node| self.nodes[*node].node.running.is_none());
        if let Some(node) = down {
            self.start(node).await;
        }
    }

    fn cut_one(&mut self) {
        let node = self.any_node();
        self.cut(node, true);
    }

    fn mend_one(&mut self) {
        let node = self.any_node();
        self.cut(node, false);
        self.slow_down(node, 0);
    }

    fn slow_one(&mut self) {
        let (node, most_ms) = (self.any_node(), 1 + self.rng.below(SLOW_MAX_MS));
        self.slow_down(node, most_ms);
    }

    fn trouble_one(&mut self) {
        let node = self.any_node();
        self.trouble(node);
    }

    fn calm_one(&mut self) {
        let node = self.any_node();
        self.peace(node);
    }
}

/// How many of the unflushed batches a crash leaves: all, none or some.
fn kept(rng: &mut Rng, unflushed: usize) -> usize {
    usize::try_from(rng.below(unflushed as u64 + 1)).unwrap_or(0)
}

fn owner(rng: &mut Rng) -> PersonalText {
    let name = ["newsletter team", "transactional sender", "list import"]
        [usize::try_from(rng.below(3)).unwrap_or(0)];
    PersonalText::name(name).expect("the names are short and printable")
}

fn scopes(rng: &mut Rng) -> ScopeSet {
    let sets: [&[&str]; 4] = [&[], &["campaigns:send"], &["lists:*"], &["campaigns:send", "lists:read"]];
    let set = sets[usize::try_from(rng.below(4)).unwrap_or(0)];
    ScopeSet::parse(set).expect("the scopes keep to their form")
}

fn networks(rng: &mut Rng) -> Networks {
    let sets: [&[&str]; 4] = [&[], &[], &["192.0.2.0/24"], &["2001:db8::/32", "198.51.100.7"]];
    let set = sets[usize::try_from(rng.below(4)).unwrap_or(0)];
    Networks::parse(set).expect("the networks keep to their form")
}

fn labels(rng: &mut Rng) -> Labels {
    let label = |name, value| Label::new(name, value).expect("the labels keep to their form");
    let labels = match rng.below(3) {
        0 => Vec::new(),
        1 => vec![label("service", "mailer")],
        _ => vec![label("service", "lists"), label("team", "growth")],
    };
    Labels::new(labels).expect("each label is given once")
}
