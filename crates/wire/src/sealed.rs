//! Sealed texts: what an event holds in place of a text about a person, and the seal that it opens with.
//!
//! A sealed text is a form's number, the field's number, whose it is, the seal's generation, the nonce, and what
//! XChaCha20-Poly1305 makes of the text. An owner's name leaves out whose it is, which its tag beside it says, and has a fixed
//! nonce: one owner has one name, so the same bytes come of it each time and are kept once. All other nonces are the id of
//! the event and the field's number, which no two texts share. All that stands before the ciphertext is authenticated, and
//! the tenant or stream too, so that no sealed text opens anywhere but in its own place.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use domain::{EventId, Owner, OwnerTag, Personal, PersonalText, StreamName, Subject, TenantId, TextField};
use zeroize::Zeroizing;

/// The only form so far.
const FORM: u8 = 1;
/// The longest text of all, of which each character takes up to four bytes.
const TEXT_MAX: usize = PersonalText::MAX_NOTE * 4;
/// Bytes of a nonce.
const NONCE: usize = 24;

/// What the texts about one subject are sealed with and opened by. Wiped on drop.
pub struct Seal {
    secret: Zeroizing<[u8; Seal::LEN]>,
    generation: u32,
}

/// What can be told of a sealed text without its seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedText {
    /// Which text it is.
    pub field: TextField,
    /// Whose seal opens it.
    pub subject: Subject,
    /// Which of the subject's seals.
    pub generation: u32,
    event_id: EventId,
    /// Where the ciphertext begins.
    begins: usize,
}

/// Bytes that are no sealed text of this build's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsealedText;

impl Seal {
    /// Bytes of its secret.
    pub const LEN: usize = 32;

    /// A seal out of its secret.
    #[must_use]
    pub fn new(secret: [u8; Self::LEN], generation: u32) -> Self {
        Self { secret: Zeroizing::new(secret), generation }
    }

    /// Which of its subject's seals it is, counted from 1.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Seals an owner's name; what is sealed already stays as it is.
    pub fn seal_owner(&self, tenant: &TenantId, owner: &mut Owner) {
        let Personal::Plain(text) = &owner.name else { return };
        let text = Zeroizing::new(text.as_str().as_bytes().to_vec());
        let mut sealed = vec![FORM, TextField::Owner as u8];
        put_generation(&mut sealed, self.generation);
        let place = place_of_owner(&sealed, tenant, owner.tag);
        sealed.extend(self.encrypt([0; NONCE], &text, &place));
        owner.name = Personal::Sealed(sealed);
    }

    /// Seals any other text of an event; what is sealed already stays as it is.
    pub fn seal(
        &self,
        (stream, event_id): (&StreamName, EventId),
        (field, subject): (TextField, OwnerTag),
        value: &mut Personal,
    ) {
        let Personal::Plain(text) = &*value else { return };
        let text = Zeroizing::new(text.as_str().as_bytes().to_vec());
        let mut sealed = vec![FORM, field as u8];
        sealed.extend(subject.to_bytes());
        put_generation(&mut sealed, self.generation);
        sealed.extend(event_id.to_bytes());
        let place = place(&sealed, &stream_of(field, stream));
        sealed.extend(self.encrypt(nonce(event_id, field), &text, &place));
        *value = Personal::Sealed(sealed);
    }

    /// Opens an owner's name; none if it is not this seal's, or was changed or moved.
    #[must_use]
    pub fn open_owner(&self, tenant: &TenantId, owner: &Owner) -> Option<PersonalText> {
        let Personal::Sealed(bytes) = &owner.name else { return None };
        let sealed = SealedText::of_owner(tenant, owner.tag, bytes).ok()?;
        let (head, text) = bytes.split_at(sealed.begins);
        self.decrypt(&sealed, [0; NONCE], text, &place_of_owner(head, tenant, owner.tag))
    }

    /// Opens any other text that stands in a stream; the same.
    #[must_use]
    pub fn open(&self, stream: &StreamName, bytes: &[u8]) -> Option<PersonalText> {
        let sealed = SealedText::read(stream, bytes).ok()?;
        let (head, text) = bytes.split_at(sealed.begins);
        let place = place(head, &stream_of(sealed.field, stream));
        self.decrypt(&sealed, nonce(sealed.event_id, sealed.field), text, &place)
    }

    fn encrypt(&self, nonce: [u8; NONCE], text: &[u8], place: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: text, aad: place };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload);
        sealed.expect("a text of a few thousand bytes is far below what the cipher takes")
    }

    fn decrypt(
        &self,
        sealed: &SealedText,
        nonce: [u8; NONCE],
        bytes: &[u8],
        place: &[u8],
    ) -> Option<PersonalText> {
        if sealed.generation != self.generation {
            return None;
        }
        let payload = Payload { msg: bytes, aad: place };
        let text = Zeroizing::new(self.cipher().decrypt(&XNonce::from(nonce), payload).ok()?);
        PersonalText::note(std::str::from_utf8(&text).ok()?).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.secret))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl SealedText {
    /// What an owner's sealed name tells.
    ///
    /// # Errors
    /// [`UnsealedText`] when it is none.
    pub fn of_owner(tenant: &TenantId, owner: OwnerTag, bytes: &[u8]) -> Result<Self, UnsealedText> {
        let [FORM, field, rest @ ..] = bytes else { return Err(UnsealedText) };
        if *field != TextField::Owner as u8 {
            return Err(UnsealedText);
        }
        let (generation, rest) = take_generation(rest)?;
        Ok(Self {
            field: TextField::Owner,
            subject: Subject { tenant: tenant.clone(), owner },
            generation,
            event_id: EventId::from_u128(0),
            begins: begins(bytes, rest)?,
        })
    }

    /// What any other sealed text tells that stands in a stream.
    ///
    /// # Errors
    /// [`UnsealedText`] when it is none.
    pub fn read(stream: &StreamName, bytes: &[u8]) -> Result<Self, UnsealedText> {
        let [FORM, field, rest @ ..] = bytes else { return Err(UnsealedText) };
        let field = TextField::from_number(*field).filter(|field| *field != TextField::Owner);
        let field = field.ok_or(UnsealedText)?;
        let (owner, rest) = rest.split_first_chunk::<16>().ok_or(UnsealedText)?;
        let (generation, rest) = take_generation(rest)?;
        let (event_id, rest) = rest.split_first_chunk::<16>().ok_or(UnsealedText)?;
        let tenant = match field {
            TextField::OperatorNetwork => TenantId::operators(),
            _ => stream.tenant().clone(),
        };
        Ok(Self {
            field,
            subject: Subject { tenant, owner: OwnerTag::from_bytes(*owner) },
            generation,
            event_id: EventId::from_bytes(*event_id),
            begins: begins(bytes, rest)?,
        })
    }
}

fn begins(bytes: &[u8], rest: &[u8]) -> Result<usize, UnsealedText> {
    if rest.len() <= TEXT_MAX + 16 { Ok(bytes.len() - rest.len()) } else { Err(UnsealedText) }
}

fn nonce(event_id: EventId, field: TextField) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    nonce[..16].copy_from_slice(&event_id.to_bytes());
    nonce[16] = field as u8;
    nonce
}

/// Where a text has its place: a note on a recall is shown with the keys that it hit, and stays the tenant's.
fn stream_of(field: TextField, stream: &StreamName) -> StreamName {
    match field {
        TextField::TenantName | TextField::TenantNote | TextField::RecallNote => {
            StreamName::Tenant(stream.tenant().clone())
        }
        _ => stream.clone(),
    }
}

/// What is authenticated beside a text: all that stands before it, and where it has its place.
fn place(head: &[u8], stream: &StreamName) -> Vec<u8> {
    let mut place = head.to_vec();
    place.extend(stream.to_string().as_bytes());
    place
}

fn place_of_owner(head: &[u8], tenant: &TenantId, owner: OwnerTag) -> Vec<u8> {
    let mut place = head.to_vec();
    place.extend(owner.to_bytes());
    place.extend(tenant.as_str().as_bytes());
    place
}

/// Seven bits a byte, the lowest first, as in a varint: most seals are the first of their subject, and names are kept in memory.
fn put_generation(sealed: &mut Vec<u8>, mut generation: u32) {
    while generation >= 0x80 {
        sealed.push(generation.to_le_bytes()[0] | 0x80);
        generation >>= 7;
    }
    sealed.push(generation.to_le_bytes()[0]);
}

fn take_generation(bytes: &[u8]) -> Result<(u32, &[u8]), UnsealedText> {
    let mut generation = 0_u32;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        let part = u32::from(byte & 0x7f);
        let shift = u32::try_from(at * 7).map_err(|_| UnsealedText)?;
        if part > (u32::MAX >> shift) {
            return Err(UnsealedText);
        }
        generation |= part << shift;
        if byte & 0x80 == 0 {
            return Ok((generation, &bytes[at + 1..]));
        }
    }
    Err(UnsealedText)
}

#[cfg(test)]
mod tests;
