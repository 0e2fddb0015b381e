//! Carries out `ImportKey`: the id is derived from tenant and digest, so importing twice makes one key.

use domain::{
    Event, Grant, ImportKey, Key, KeyId, Position, Revision, SecretDigest, Standing, StreamName, TenantId,
};
use eventlog::{Outcome, Queue};
use wire::TagSecret;

use crate::application::Application;
use crate::asked_grant::AskedGrant;
use crate::outcome::{Changed, CommandError, Request};

/// What is asked for, with the owner still as text.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// Where the key will belong.
    pub tenant: TenantId,
    /// SHA-256 of the whole token.
    pub digest: SecretDigest,
    /// What comes with it.
    pub grant: AskedGrant,
    /// The key that imports it.
    pub issuer: Option<KeyId>,
}

/// What became of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The key stands since now.
    New {
        /// Its id.
        key_id: KeyId,
        /// Where and when.
        changed: Changed,
    },
    /// This digest was imported here before. What stands holds, whatever is asked now.
    Known {
        /// Its id.
        key_id: KeyId,
        /// The parts that are asked for otherwise than they stand.
        differs: Vec<&'static str>,
    },
}

/// What would become of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Importable {
    /// It would be imported.
    New,
    /// It was imported before.
    Known {
        /// The parts that are asked for otherwise than they stand.
        differs: Vec<&'static str>,
    },
}

impl Application {
    /// Imports a key. Does not wait until the index shows it: an import is many, and whoever asks waits for the last
    /// position.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn import_key(
        &self,
        request: &Request,
        asked: ImportRequest,
    ) -> Result<Imported, CommandError> {
        let secret = self.tag_secret(&asked.tenant).await?;
        let tenant = self.tenant_state(&asked.tenant).await?.tenant;
        let (key_id, command) = tagged(asked, &secret);
        if let Some(state) = self.index.key(&command.tenant, key_id) {
            return Ok(Imported::Known { key_id, differs: differing(&command.grant, &state.key) });
        }
        let now = self.ambient.now();
        let imported = match command.decide(&tenant, None, now) {
            Ok(imported) => imported,
            // This index may not show the key yet: a refusal is answered only on what the log says.
            Err(refusal) => {
                let stands = self.standing_import(&command, key_id).await?;
                return stands.ok_or(CommandError::Refused(refusal));
            }
        };
        let tag = secret.request_tag(&command);
        let stream = StreamName::Key(command.tenant.clone(), key_id);
        let at = (Position::NONE, Revision::NONE);
        let events = vec![Event::KeyImported(Box::new(imported))];
        let draft = self.draft((request, tag), stream, at, now, events);
        match self.append([draft], Queue::Background, &request.command_id, Some(key_id)).await? {
            Outcome::Appended { positions } => {
                let (position, revision) = (positions[0], Revision::new(1));
                let changed = Changed { position, revision, occurred_at: now, repeated: false };
                Ok(Imported::New { key_id, changed })
            }
            // Only the same digest in the same tenant derives this stream: another server, or an attempt that is not in the
            // index yet, was first. What it made is in the log alone.
            Outcome::Conflict { .. } => {
                let stands = self.standing_import(&command, key_id).await?;
                Ok(stands.unwrap_or_else(|| Imported::Known { key_id, differs: Vec::new() }))
            }
        }
    }

    /// What the log has of a digest; none if it was never imported.
    async fn standing_import(
        &self,
        command: &ImportKey,
        key_id: KeyId,
    ) -> Result<Option<Imported>, CommandError> {
        let stands = self.key_and_life(&command.tenant, key_id).await?;
        Ok(stands.map(|state| Imported::Known { key_id, differs: differing(&command.grant, &state.key) }))
    }

    /// What importing a key would do now, as far as this server's index knows. Changes nothing.
    ///
    /// # Errors
    /// [`CommandError`], as the import itself.
    pub async fn try_import(&self, asked: ImportRequest) -> Result<Importable, CommandError> {
        let secret = self.tag_secret(&asked.tenant).await?;
        let tenant = self.tenant_state(&asked.tenant).await?.tenant;
        let (key_id, command) = tagged(asked, &secret);
        if let Some(state) = self.index.key(&command.tenant, key_id) {
            return Ok(Importable::Known { differs: differing(&command.grant, &state.key) });
        }
        command.decide(&tenant, None, self.ambient.now())?;
        Ok(Importable::New)
    }
}

fn tagged(asked: ImportRequest, secret: &TagSecret) -> (KeyId, ImportKey) {
    let key_id = ImportKey::key_id(&asked.tenant, &asked.digest);
    let grant = asked.grant.tagged(secret);
    (key_id, ImportKey { tenant: asked.tenant, digest: asked.digest, grant, issuer: asked.issuer })
}

/// The parts of a grant that a key has otherwise. An expiry that is not asked for is any, since a policy may have set it; and
/// a key that has ended may have forgotten its own.
fn differing(asked: &Grant, key: &Key) -> Vec<&'static str> {
    let forgotten =
        key.expires_at.is_none() && !matches!(key.standing, Standing::Active | Standing::Suspended);
    let parts = [
        ("owner", asked.owner.tag == key.owner),
        ("scopes", asked.scopes == key.scopes),
        ("labels", asked.labels == key.labels),
        ("environment", asked.environment == key.environment),
        ("networks", asked.networks == key.networks),
        ("expires_at", asked.expires_at.is_none() || forgotten || asked.expires_at == key.expires_at),
    ];
    parts.into_iter().filter_map(|(name, same)| (!same).then_some(name)).collect()
}
