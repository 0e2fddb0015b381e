//! Carries out `ImportKey`: the id is derived from tenant and digest, so importing twice makes one key.

use domain::{Event, ImportKey, KeyId, Position, Revision, SecretDigest, StreamName, TenantId};
use eventlog::{Outcome, Queue};

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

/// What became of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The key stands since now.
    New {
        /// Its id.
        key_id: KeyId,
        /// Where and when.
        changed: Changed,
    },
    /// This digest was imported here before. What came with it then holds, whatever is asked now.
    Known {
        /// Its id.
        key_id: KeyId,
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
        let key_id = ImportKey::key_id(&asked.tenant, &asked.digest);
        if self.index.key(&asked.tenant, key_id).is_some() {
            return Ok(Imported::Known { key_id });
        }
        let command = ImportKey {
            tenant: asked.tenant,
            digest: asked.digest,
            grant: asked.grant.tagged(&secret),
            issuer: asked.issuer,
        };
        let now = self.ambient.now();
        let imported = command.decide(&tenant, None, now)?;
        let tag = secret.request_tag(&command);
        let stream = StreamName::Key(command.tenant, key_id);
        let at = (Position::NONE, Revision::NONE);
        let events = vec![Event::KeyImported(Box::new(imported))];
        let draft = self.draft((request, tag), stream, at, now, events);
        match self.append([draft], Queue::Background, &request.command_id, Some(key_id)).await? {
            Outcome::Appended { positions } => {
                let (position, revision) = (positions[0], Revision::new(1));
                let changed = Changed { position, revision, occurred_at: now, repeated: false };
                Ok(Imported::New { key_id, changed })
            }
            // Only the same digest in the same tenant derives this stream.
            Outcome::Conflict { .. } => Ok(Imported::Known { key_id }),
        }
    }
}
