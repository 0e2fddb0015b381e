//! The first operator: how a service that nobody may command yet gets somebody who may.

use domain::{
    Actor, Cause, CommandId, Environment, Event, Grant, IssueKey, KeyId, Labels, Networks, OpenTenant,
    ParsedKey, Permission, PersonalText, PlainKey, PlainSecret, Position, Prefix, Revision, ScopeSet,
    StreamName, TenantId, Timestamp, format_key,
};
use eventlog::{Outcome, Queue};
use wire::{Canonical, TagSecret};

use crate::append::Draft;
use crate::application::Application;
use crate::asked_grant::AskedGrant;
use crate::issue_key::{IssueRequest, Issued};
use crate::outcome::{CommandError, Request};

/// Whom the first operator's key belongs to.
const FIRST_OWNER: &str = "bootstrap";
/// The command id under which every server opens tenant `default`.
const OPEN_DEFAULT: &str = "bootstrap-open-default";

/// The key of the first operator, drawn before anything is written: its holder writes and syncs it first.
#[derive(Debug)]
pub struct FirstOperator {
    /// The whole key.
    pub key: PlainKey,
}

/// Whose operator stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrapped {
    /// The one whose key was presented.
    Ours,
    /// Another server's, or that of an earlier start: the presented key is worth nothing and its file should go.
    Another,
}

impl Application {
    /// Draws the key of a first operator. Nothing is written.
    #[must_use]
    pub fn draw_first_operator(&self) -> FirstOperator {
        let key_id = KeyId::from_u128(self.ambient.draw_ulid());
        let secret = PlainSecret::draw(|bytes| self.ambient.fill(bytes));
        FirstOperator { key: format_key(&Prefix::default(), Environment::Live, key_id, &secret) }
    }

    /// Whether tenant `rescind` stands in the log.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the log cannot be read.
    pub async fn is_bootstrapped(&self) -> Result<bool, CommandError> {
        let history = self.history(StreamName::Tenant(TenantId::operators())).await?;
        Ok(history.last() != Position::NONE)
    }

    /// Opens tenant `rescind` and issues the first operator with this key, in one unit that expects nothing; when somebody
    /// was first, tells whose operator stands. Safe to repeat with the same key after a crash.
    ///
    /// # Errors
    /// [`CommandError`] when the log or the seals cannot be reached.
    pub async fn bootstrap(&self, key: &ParsedKey<'_>) -> Result<Bootstrapped, CommandError> {
        let tenant = TenantId::operators();
        if !self.is_bootstrapped().await? {
            let secret = self
                .tag_secrets
                .of_new(&tenant, &*self.ambient)
                .await
                .map_err(|error| CommandError::unavailable(&error))?;
            let id = bootstrap_command(key.key_id);
            let drafts = self.first_events(key, &secret, &id)?;
            match self.append(drafts, Queue::Normal, &id, Some(key.key_id)).await? {
                Outcome::Appended { .. } => return Ok(Bootstrapped::Ours),
                Outcome::Conflict { .. } => {}
            }
        }
        let ours = self.history(StreamName::Key(tenant, key.key_id)).await?;
        Ok(if ours.last() == Position::NONE { Bootstrapped::Another } else { Bootstrapped::Ours })
    }

    /// Opens tenant `default` under a command id that all servers share.
    ///
    /// # Errors
    /// [`CommandError`] when the log or the seals cannot be reached.
    pub async fn open_default_tenant(&self) -> Result<(), CommandError> {
        let tenant: TenantId = TenantId::DEFAULT.parse().expect("the name keeps to the alphabet");
        let id: CommandId = OPEN_DEFAULT.parse().expect("the name is printable ASCII");
        let command = OpenTenant { tenant, name: None, prefix: Prefix::default() };
        match self.open_tenant(&Request::system(Cause::Bootstrap, id), command).await {
            // Opened by hand with other words: it is there, which is all that is wanted.
            Ok(_) | Err(CommandError::Refused(_) | CommandError::CommandIdReused) => Ok(()),
            // It stands all the same. Refusing to start would take the verifiers down too.
            Err(CommandError::SealMissing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Issues another operator with every permission, for who holds the log and lost the keys.
    ///
    /// # Errors
    /// [`CommandError`] when the log or the seals cannot be reached.
    pub async fn recover_operator(&self) -> Result<Issued, CommandError> {
        let request = Request {
            actor: Actor::System,
            cause: Cause::Bootstrap,
            command_id: CommandId::from_u128(self.ambient.draw_ulid()),
            may_be_repeat: false,
            if_match: None,
            trace_context: None,
        };
        let asked = IssueRequest {
            tenant: TenantId::operators(),
            grant: AskedGrant { name: Some(text("recovered operator")), ..first_grant() },
            issuer: None,
        };
        self.issue_key(&request, asked).await
    }

    fn first_events(
        &self,
        key: &ParsedKey<'_>,
        secret: &TagSecret,
        id: &CommandId,
    ) -> Result<[Draft; 2], CommandError> {
        let now = self.ambient.now();
        let open = OpenTenant { tenant: TenantId::operators(), name: None, prefix: Prefix::default() };
        let opened = open.decide(None)?;
        let issue = IssueKey {
            tenant: TenantId::operators(),
            grant: Grant { environment: key.environment, ..first_grant().tagged(secret) },
            issuer: None,
        };
        let tenant = domain::Tenant::opened(open.tenant.clone(), None, open.prefix.clone());
        let issued = issue.decide(&tenant, None, key.digest(), now)?;
        let opened = self.first_event(
            StreamName::Tenant(tenant.id.clone()),
            id,
            secret,
            &open,
            now,
            Event::TenantOpened(opened),
        );
        let stream = StreamName::Key(tenant.id, key.key_id);
        let issued = self.first_event(stream, id, secret, &issue, now, Event::KeyIssued(Box::new(issued)));
        Ok([opened, issued])
    }

    fn first_event(
        &self,
        stream: StreamName,
        id: &CommandId,
        secret: &TagSecret,
        command: &impl Canonical,
        now: Timestamp,
        event: Event,
    ) -> Draft {
        let request = Request::system(Cause::Bootstrap, id.clone());
        let tag = secret.request_tag(command);
        self.draft((&request, tag), stream, (Position::NONE, Revision::NONE), now, vec![event])
    }
}

fn first_grant() -> AskedGrant {
    AskedGrant {
        environment: Environment::Live,
        name: Some(text("first operator")),
        owner: text(FIRST_OWNER),
        scopes: every_permission(),
        labels: Labels::default(),
        networks: Networks::default(),
        expires_at: None,
    }
}

fn bootstrap_command(key_id: KeyId) -> CommandId {
    format!("bootstrap-{key_id}").parse().expect("a word and an id are printable ASCII")
}

fn every_permission() -> ScopeSet {
    ScopeSet::parse(Permission::ALL.map(Permission::as_str)).expect("the permissions are scopes, and few")
}

fn text(literal: &str) -> PersonalText {
    PersonalText::name(literal).expect("the literal is short and printable")
}
