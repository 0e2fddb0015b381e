//! What may happen in one step, and how often.

use domain::{
    CommandId, Environment, Finish, KeyId, Label, Labels, LeakResponse, Networks, PersonalText, Policy,
    PolicyRules, RevokeReason, RotationRule, ScopeSet, Selector, SuspendReason, TenantId, Timestamp,
};

use application::Ambient;

use super::Length;
use super::asked::{Amend, Body, Change, Granted, Recall, Setting, Verb};
use super::rng::Rng;
use super::truth::KeyFacts;
use super::world::{World, tenant};

/// Keys of one run: enough to meet in the same shards and pages, few enough to ask for all of them all the time.
const MAX_KEYS: usize = 30;
/// Keys of a short run: so few that most commands meet another's key.
const MAX_KEYS_SHORT: usize = 7;
/// Keys of a guarded run: every guard is asked for every one, all the time.
const MAX_KEYS_GUARDED: usize = 12;
/// The most copies of a command that are sent at once.
const AT_ONCE: u64 = 4;
/// The slowest line: an answer that takes longer than this, twice, outlives a lease.
pub(crate) const SLOW_MAX_MS: u64 = 3_000;

impl World {
    pub(crate) async fn take_step(&mut self) {
        match self.rng.below(100) {
            0..3 => self.open(),
            3..20 => self.issue(),
            20..28 => self.revoke(),
            28..34 => self.expire(),
            34..52 => self.change_a_key(),
            52..57 => self.recall(),
            57..59 => self.set_a_tenant(),
            59..65 => self.ask_again(),
            65..69 => self.crowd(),
            69..72 => self.crash().await,
            72..75 => self.stop().await,
            75..86 => self.start_one().await,
            86..88 => self.cut_one(),
            88..90 => self.slow_one(),
            90..92 => self.mend_one(),
            92..94 => self.trouble_one(),
            _ => self.calm_one(),
        }
    }

    /// A step of a guarded run: half of them between guards and servers, and most commands end something.
    pub(crate) async fn take_guarded_step(&mut self) {
        match self.rng.below(100) {
            0..3 => self.open(),
            3..15 => self.issue(),
            15..24 => self.revoke(),
            24..30 => self.change_a_key(),
            30..33 => self.crowd(),
            33..36 => self.recall(),
            36..38 => self.expire(),
            38..40 => self.crash().await,
            40..41 => self.stop().await,
            41..47 => self.start_one().await,
            47..49 => self.cut_one(),
            49..51 => self.slow_one(),
            51..54 => self.mend_one(),
            54..55 => self.trouble_one(),
            55..58 => self.calm_one(),
            _ => self.take_step_of_guards().await,
        }
    }

    /// A step of a short run: commands, nearly all of them, around a few keys.
    pub(crate) async fn take_short_step(&mut self) {
        match self.rng.below(100) {
            0..18 => self.issue(),
            18..22 => self.revoke(),
            22..26 => self.expire(),
            26..66 => self.change_a_key(),
            66..80 => self.recall(),
            80..84 => self.set_a_tenant(),
            84..92 => self.ask_again(),
            92..94 => self.crowd(),
            94..95 => self.crash().await,
            95..96 => self.stop().await,
            96..98 => self.start_one().await,
            98 => self.slow_one(),
            _ => self.mend_one(),
        }
    }

    pub(crate) fn any_node(&mut self) -> usize {
        usize::try_from(self.rng.below(self.nodes.len() as u64)).unwrap_or(0)
    }

    fn open(&mut self) {
        let Some((tenant, prefix)) = tenant(self.rng.below(3)) else { return };
        let verb = Verb::Open { tenant, prefix };
        self.ask(verb);
    }

    fn issue(&mut self) {
        if self.truth.lock().keys.len() >= self.max_keys() {
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
        let issuer = match self.rng.below(3) {
            0 => self.any_key().map(|(_, key_id)| key_id),
            _ => None,
        };
        let granted = Box::new(Granted {
            tenant,
            environment: if self.rng.one_in(4) { Environment::Test } else { Environment::Live },
            owner: owner(&mut self.rng),
            scopes: scopes(&mut self.rng),
            labels: labels(&mut self.rng),
            networks: networks(&mut self.rng),
            expires_at: expires_at.map(Timestamp::from_millis),
            issuer,
        });
        if self.rng.one_in(6) {
            let token = format!("old-{:04}-of-{}", self.rng.below(20), granted.tenant);
            self.ask(Verb::Import(granted, token));
        } else {
            self.ask(Verb::Issue(granted));
        }
    }

    const fn max_keys(&self) -> usize {
        match self.setup.length {
            Length::Long => MAX_KEYS,
            Length::Short => MAX_KEYS_SHORT,
            Length::Guarded => MAX_KEYS_GUARDED,
        }
    }

    fn revoke(&mut self) {
        if let Some((tenant, key_id)) = self.any_key() {
            let reason = reason(&mut self.rng);
            self.ask(Verb::OnKey(tenant, key_id, Change::Revoke(reason)));
        }
    }

    /// Asks for what the service asks of itself when a time is up: of a key's expiry, suspension or warning.
    fn expire(&mut self) {
        let Some((tenant, key_id)) = self.any_key() else { return };
        let times = self.truth.lock().keys.get(&(tenant.clone(), key_id)).map(|facts| {
            let latest = facts.latest();
            (latest.key.expires_at, latest.life.suspended_until)
        });
        let Some((expires_at, suspended_until)) = times else { return };
        let derived = match (self.rng.below(3), expires_at, suspended_until) {
            (0, _, Some(until)) => {
                Some((format!("reinstate-{key_id}-{}", until.as_millis()), Change::EndSuspension(until)))
            }
            (1, Some(at), _) => {
                let before_ms = 60_000;
                Some((format!("warn-{key_id}-{}-{before_ms}", at.as_millis()), Change::Warn(at, before_ms)))
            }
            (_, Some(at), _) => Some((format!("expiry-{key_id}-{}", at.as_millis()), Change::Expire(at))),
            _ => None,
        };
        if let Some((id, change)) = derived {
            self.ask_derived(&id, Verb::OnKey(tenant, key_id, change));
        }
    }

    fn ask_derived(&mut self, id: &str, verb: Verb) {
        let Ok(command_id) = id.parse() else { return };
        self.send_about(Body { command_id, verb, asked_at: Timestamp::from_millis(0), may_be_repeat: true });
    }

    /// One of the commands that change a key and do not end it, or only in the end.
    fn change_a_key(&mut self) {
        let Some((tenant, key_id)) = self.any_key() else { return };
        let now = self.nodes[0].node.clock.now();
        let change = match self.rng.below(20) {
            0..7 => Change::Amend(Box::new(self.amend(now))),
            7..9 => {
                let until = self.rng.one_in(2).then(|| now.plus_millis(1 + self.rng.below(5_000)));
                let reasons = SuspendReason::ALL;
                let reason = *self.rng.pick(&reasons).unwrap_or(&SuspendReason::Other);
                Change::Suspend(reason, until)
            }
            9..11 => Change::Reinstate,
            11..14 => {
                let rule = match self.rng.below(3) {
                    0 => RotationRule::At(now.plus_millis(self.rng.below(5_000))),
                    1 => RotationRule::DEFAULT,
                    _ => RotationRule::ByHand,
                };
                Change::Rotate(rule)
            }
            14..16 => return self.go_on_with_a_rotation(),
            16..18 => {
                let finishes =
                    [Finish::ByRule { quiet: true }, Finish::ByHand, Finish::Forced, Finish::Forced];
                Change::Finish(*self.rng.pick(&finishes).unwrap_or(&Finish::Forced))
            }
            18 => Change::Cancel,
            _ => Change::Leak,
        };
        self.ask(Verb::OnKey(tenant, key_id, change));
    }

    /// A rotation that is under way is adopted, finished or called off.
    fn go_on_with_a_rotation(&mut self) {
        let rotating: Vec<_> = {
            let truth = self.truth.lock();
            let rotation = |facts: &KeyFacts| facts.latest().life.rotation.as_ref().map(|it| it.successor);
            let keys = truth.keys.iter();
            keys.filter_map(|((tenant, key_id), facts)| Some((tenant.clone(), *key_id, rotation(facts)?)))
                .collect()
        };
        let Some((tenant, key_id, successor)) = self.rng.pick(&rotating).cloned() else { return };
        match self.rng.below(4) {
            0 | 1 => {
                // Each server asks with the time that it knows; the first one stands. Here they know the same one.
                let at = Timestamp::from_millis(1_790_000_000_000);
                let verb = Verb::OnKey(tenant, successor, Change::FirstUse(at));
                self.ask_derived(&format!("first-used-{successor}"), verb);
            }
            2 => self.ask(Verb::OnKey(tenant, key_id, Change::Finish(Finish::ByHand))),
            _ => self.ask(Verb::OnKey(tenant, key_id, Change::Cancel)),
        }
    }

    fn amend(&mut self, now: Timestamp) -> Amend {
        let rng = &mut self.rng;
        let mut amend = Amend::default();
        for _ in 0..=rng.below(2) {
            match rng.below(7) {
                0 => amend.name = PersonalText::name(["spring", "autumn"][usize::from(rng.one_in(2))]).ok(),
                1 | 2 => amend.labels = Some(labels(rng)),
                3 | 4 => amend.owner = Some(owner(rng)),
                5 => amend.scopes = Some(scopes(rng)),
                _ if rng.one_in(2) => amend.networks = Some(networks(rng)),
                _ => {
                    let at = now.plus_millis(1 + rng.below(60_000));
                    amend.expires_at = Some(rng.one_in(2).then_some(at));
                }
            }
        }
        amend
    }

    /// Recalls by one part or by several, previewed or not; once in a while everything.
    fn recall(&mut self) {
        let number = if self.rng.one_in(3) { self.rng.below(3) } else { 0 };
        let Some((tenant, _)) = tenant(number) else { return };
        let key = self.any_key().map(|(_, key_id)| key_id);
        let rng = &mut self.rng;
        let mut recall = Recall { previewed: rng.one_in(3), cascade: rng.one_in(5), ..Recall::default() };
        if !rng.one_in(12) {
            for _ in 0..=rng.below(2) {
                match rng.below(6) {
                    0 | 1 => recall.owner = Some(owner(rng)),
                    2 => recall.label = labels(rng).iter().next().cloned(),
                    3 => recall.scope = "campaigns:send".parse().ok(),
                    4 => recall.issuer = key,
                    _ => recall.environment = Some(Environment::Test),
                }
            }
        }
        self.ask(Verb::OnTenant(tenant, Setting::Recall(Box::new(recall))));
    }

    fn set_a_tenant(&mut self) {
        let number = if self.rng.one_in(3) { self.rng.below(3) } else { 0 };
        let Some((tenant, _)) = tenant(number) else { return };
        let setting = match self.rng.below(16) {
            0..6 => Setting::Leaks(LeakResponse::ALL[usize::from(self.rng.one_in(2))]),
            6..11 => Setting::SetPolicy(Box::new(policy(&mut self.rng))),
            11..15 => Setting::RemovePolicy(policy(&mut self.rng).name),
            _ => Setting::Close,
        };
        self.ask(Verb::OnTenant(tenant, setting));
    }

    /// Several commands on one key at once, each its own.
    fn crowd(&mut self) {
        let Some((tenant, key_id)) = self.any_key() else { return };
        for _ in 0..=self.rng.below(AT_ONCE) {
            let change = match self.rng.below(3) {
                0 => {
                    let now = self.nodes[0].node.clock.now();
                    Change::Amend(Box::new(self.amend(now)))
                }
                _ => Change::Revoke(reason(&mut self.rng)),
            };
            self.ask(Verb::OnKey(tenant.clone(), key_id, change));
        }
    }

    /// Sends something again that was asked before, sometimes with another body, to whichever node.
    fn ask_again(&mut self) {
        let body = self.model.lock().to_ask_again(&mut self.rng);
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
            Verb::Issue(granted) => granted.owner = owner(&mut self.rng),
            Verb::OnKey(_, _, Change::Revoke(to)) => *to = reason(&mut self.rng),
            Verb::OnKey(_, _, Change::Suspend(to, _)) => *to = SuspendReason::Unused,
            Verb::OnKey(..) | Verb::OnTenant(..) | Verb::Import(..) => {}
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
        let body =
            Body { command_id, verb, asked_at: Timestamp::from_millis(0), may_be_repeat: client_supplied };
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
            // One that never was. No key has the id 0: the index says by it that nobody issued a key.
            let (tenant, _) = tenant(self.rng.below(3))?;
            return Some((tenant, KeyId::from_u128(u128::from(1 + self.rng.below(3)))));
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

fn reason(rng: &mut Rng) -> RevokeReason {
    RevokeReason::ALL[usize::try_from(rng.below(9)).unwrap_or(0)]
}

/// A policy that now and then says no, or sets an expiry.
fn policy(rng: &mut Rng) -> Policy {
    let (name, rules) = match rng.below(2) {
        0 => ("lifetimes", PolicyRules { default_lifetime_ms: Some(20_000), ..PolicyRules::default() }),
        _ => (
            "no-lists",
            PolicyRules {
                scopes_denied: ScopeSet::parse(["lists:*"]).expect("a scope"),
                ..PolicyRules::default()
            },
        ),
    };
    let name = name.parse().expect("the names keep to their form");
    Policy::new(name, Selector::ALL, rules).expect("the rules fit together")
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
