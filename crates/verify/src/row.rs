//! One key in 75 bytes: the 64 that a verdict may need fill one cache line, the rest lies apart.

use domain::{Environment, KeyId, Position, Revision, SecretDigest, Standing, Timestamp};

/// The largest number that three bytes hold: the bound on tenants, scope sets, network sets and revisions.
pub(crate) const MAX_24: u32 = (1 << 24) - 1;

const STANDING: u8 = 0b0000_0111;
const TEST: u8 = 0b0000_1000;
const HAS_UNTIL: u8 = 0b0001_0000;
const QUARANTINED: u8 = 0b0010_0000;
const ISSUED: u8 = 0b0100_0000;
const IMPORTED: u8 = 0b1000_0000;

/// What a verdict needs of a key. Bytes, not integers, so that no padding is wasted.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct HotRow {
    key_id: [u8; 16],
    digest: [u8; 16],
    until: [u8; 6],
    last: [u8; 6],
    settled_at: [u8; 6],
    tenant: [u8; 3],
    scopes: [u8; 3],
    networks: [u8; 3],
    owner: [u8; 4],
    flags: u8,
}

const _: () = assert!(size_of::<HotRow>() == HotRow::BYTES);

/// What only decisions need of a key.
#[derive(Clone, Copy)]
pub(crate) struct ColdRow {
    labels: [u8; 4],
    issuer: [u8; 4],
    revision: [u8; 3],
}

const _: () = assert!(size_of::<ColdRow>() == ColdRow::BYTES);

/// Numbers of interned values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refs {
    pub(crate) tenant: u32,
    pub(crate) owner: u32,
    pub(crate) scopes: u32,
    pub(crate) labels: u32,
    pub(crate) networks: u32,
    pub(crate) issuer: u32,
}

impl HotRow {
    pub(crate) const BYTES: usize = 64;

    /// What a slot holds before it is a key's: matches no digest, since it is not issued.
    pub(crate) const ABSENT: Self = Self {
        key_id: [0; 16],
        digest: [0; 16],
        until: [0; 6],
        last: [0; 6],
        settled_at: [0; 6],
        tenant: [0; 3],
        scopes: [0; 3],
        networks: [0; 3],
        owner: [0; 4],
        flags: 0,
    };

    /// A key of which nothing can be read: no digest matches it.
    pub(crate) fn unread(key_id: KeyId, tenant: u32, position: Position) -> Self {
        let mut row = Self { key_id: key_id.to_bytes(), tenant: to_24(tenant), ..Self::ABSENT };
        row.set_last(position);
        row.quarantine();
        row
    }

    /// A key that came into being at `position`.
    pub(crate) fn issued(
        key_id: KeyId,
        digest: SecretDigest,
        environment: Environment,
        refs: Refs,
        position: Position,
    ) -> Self {
        let mut row = Self {
            key_id: key_id.to_bytes(),
            digest: digest.short(),
            tenant: to_24(refs.tenant),
            scopes: to_24(refs.scopes),
            networks: to_24(refs.networks),
            owner: refs.owner.to_le_bytes(),
            flags: ISSUED | if environment == Environment::Test { TEST } else { 0 },
            ..Self::ABSENT
        };
        row.set_last(position);
        row
    }

    pub(crate) fn key_id(&self) -> KeyId {
        KeyId::from_bytes(self.key_id)
    }

    pub(crate) fn digest(&self) -> &[u8; 16] {
        &self.digest
    }

    pub(crate) fn tenant(&self) -> u32 {
        from_24(self.tenant)
    }

    pub(crate) fn scopes(&self) -> u32 {
        from_24(self.scopes)
    }

    pub(crate) fn networks(&self) -> u32 {
        from_24(self.networks)
    }

    pub(crate) fn owner(&self) -> u32 {
        u32::from_le_bytes(self.owner)
    }

    pub(crate) fn last(&self) -> Position {
        Position::new(from_48(self.last))
    }

    /// Up to where its attributes were compared with recalls.
    pub(crate) fn settled_at(&self) -> Position {
        Position::new(from_48(self.settled_at))
    }

    /// Only with a planted bug: as if every recall were still to be compared.
    pub(crate) const fn forget_settled(&mut self) {
        self.settled_at = [0; 6];
    }

    /// Notes the position of its last event. The caller has settled the row against all recalls below it.
    pub(crate) fn set_last(&mut self, position: Position) {
        self.last = to_48(position.get());
        self.settled_at = self.last;
    }

    pub(crate) fn environment(&self) -> Environment {
        if self.flags & TEST == 0 { Environment::Live } else { Environment::Test }
    }

    pub(crate) fn is_issued(&self) -> bool {
        self.flags & ISSUED != 0
    }

    /// Whether it is another system's key, which no token of our form opens, nor any of another form an issued one.
    pub(crate) fn is_imported(&self) -> bool {
        self.flags & IMPORTED != 0
    }

    pub(crate) fn import(&mut self) {
        self.flags |= IMPORTED;
    }

    pub(crate) fn is_quarantined(&self) -> bool {
        self.flags & QUARANTINED != 0
    }

    pub(crate) fn quarantine(&mut self) {
        self.flags |= QUARANTINED;
    }

    /// What the readable part of its history made of it; never [`Standing::Quarantined`].
    pub(crate) fn standing(&self) -> Standing {
        match self.flags & STANDING {
            0 => Standing::Active,
            1 => Standing::Suspended,
            2 => Standing::Expired,
            3 => Standing::Revoked,
            _ => Standing::Recalled,
        }
    }

    fn set_standing(&mut self, standing: Standing) {
        let code = match standing {
            Standing::Active | Standing::Quarantined => 0,
            Standing::Suspended => 1,
            Standing::Expired => 2,
            Standing::Revoked => 3,
            Standing::Recalled => 4,
        };
        self.flags = (self.flags & !STANDING) | code;
    }

    /// Ends the key for good; the time it ended takes the place of its expiry.
    pub(crate) fn end(&mut self, standing: Standing, at: Timestamp) {
        debug_assert!(ends(standing));
        self.set_standing(standing);
        self.set_until(Some(at));
    }

    /// For a key that has not ended.
    pub(crate) fn suspend(&mut self) {
        self.set_standing(Standing::Suspended);
    }

    /// For a key that has not ended.
    pub(crate) fn reinstate(&mut self) {
        self.set_standing(Standing::Active);
    }

    pub(crate) fn set_owner(&mut self, number: u32) {
        self.owner = number.to_le_bytes();
    }

    pub(crate) fn set_scopes(&mut self, number: u32) {
        self.scopes = to_24(number);
    }

    pub(crate) fn set_networks(&mut self, number: u32) {
        self.networks = to_24(number);
    }

    pub(crate) fn set_until(&mut self, until: Option<Timestamp>) {
        self.until = to_48(until.map_or(0, Timestamp::as_millis));
        self.flags = (self.flags & !HAS_UNTIL) | if until.is_some() { HAS_UNTIL } else { 0 };
    }

    fn until(&self) -> Option<Timestamp> {
        (self.flags & HAS_UNTIL != 0).then(|| Timestamp::from_millis(from_48(self.until)))
    }

    /// When its time is up, unless it has ended.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        if ends(self.standing()) { None } else { self.until() }
    }

    /// When it ended.
    pub(crate) fn ended_at(&self) -> Option<Timestamp> {
        if ends(self.standing()) { self.until() } else { None }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.key_id);
        bytes[16..32].copy_from_slice(&self.digest);
        bytes[32..38].copy_from_slice(&self.until);
        bytes[38..44].copy_from_slice(&self.last);
        bytes[44..50].copy_from_slice(&self.settled_at);
        bytes[50..53].copy_from_slice(&self.tenant);
        bytes[53..56].copy_from_slice(&self.scopes);
        bytes[56..59].copy_from_slice(&self.networks);
        bytes[59..63].copy_from_slice(&self.owner);
        bytes[63] = self.flags;
        bytes
    }

    /// None for flags that no row has.
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let flags = bytes[63];
        let known = flags & STANDING <= 4 && (flags & IMPORTED == 0 || flags & ISSUED != 0);
        known.then(|| Self {
            key_id: part(bytes, 0),
            digest: part(bytes, 16),
            until: part(bytes, 32),
            last: part(bytes, 38),
            settled_at: part(bytes, 44),
            tenant: part(bytes, 50),
            scopes: part(bytes, 53),
            networks: part(bytes, 56),
            owner: part(bytes, 59),
            flags,
        })
    }
}

impl ColdRow {
    pub(crate) const BYTES: usize = 11;

    /// What a slot holds before it is a key's.
    pub(crate) const ABSENT: Self = Self { labels: [0; 4], issuer: [0; 4], revision: [0; 3] };

    pub(crate) fn new(refs: Refs, revision: Revision) -> Self {
        let mut row = Self {
            labels: refs.labels.to_le_bytes(),
            issuer: refs.issuer.to_le_bytes(),
            revision: Self::ABSENT.revision,
        };
        row.set_revision(revision);
        row
    }

    pub(crate) fn labels(&self) -> u32 {
        u32::from_le_bytes(self.labels)
    }

    pub(crate) fn issuer(&self) -> u32 {
        u32::from_le_bytes(self.issuer)
    }

    pub(crate) fn set_labels(&mut self, number: u32) {
        self.labels = number.to_le_bytes();
    }

    pub(crate) fn set_issuer(&mut self, number: u32) {
        self.issuer = number.to_le_bytes();
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision::new(from_24(self.revision))
    }

    /// Stops at [`MAX_24`]; the writer takes no event beyond it.
    pub(crate) fn set_revision(&mut self, revision: Revision) {
        self.revision = to_24(revision.get().min(MAX_24));
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.labels);
        bytes[4..8].copy_from_slice(&self.issuer);
        bytes[8..].copy_from_slice(&self.revision);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        Self { labels: part(bytes, 0), issuer: part(bytes, 4), revision: part(bytes, 8) }
    }
}

/// Whether a key of this standing has ended for good.
pub(crate) fn ends(standing: Standing) -> bool {
    matches!(standing, Standing::Expired | Standing::Revoked | Standing::Recalled)
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

fn to_24(value: u32) -> [u8; 3] {
    debug_assert!(value <= MAX_24);
    let bytes = value.to_le_bytes();
    [bytes[0], bytes[1], bytes[2]]
}

fn from_24(bytes: [u8; 3]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}

/// Six bytes reach beyond the year 9999 and beyond any log; what is larger stays the largest.
fn to_48(value: u64) -> [u8; 6] {
    part(&value.min((1 << 48) - 1).to_le_bytes(), 0)
}

fn from_48(bytes: [u8; 6]) -> u64 {
    let mut wide = [0; 8];
    wide[..6].copy_from_slice(&bytes);
    u64::from_le_bytes(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_from_its_bytes() {
        let refs =
            Refs { tenant: MAX_24, owner: u32::MAX, scopes: 70_000, labels: 8, networks: 3, issuer: 9 };
        let digest = SecretDigest::from_bytes([7; 32]);
        let mut row =
            HotRow::issued(KeyId::from_u128(5), digest, Environment::Test, refs, Position::new(1 << 40));
        row.set_until(Some(Timestamp::MAX));
        let back = HotRow::from_bytes(&row.to_bytes()).unwrap();
        assert_eq!(back.key_id(), KeyId::from_u128(5));
        assert_eq!(
            (back.tenant(), back.owner(), back.scopes(), back.networks()),
            (MAX_24, u32::MAX, 70_000, 3)
        );
        assert_eq!(back.expires_at(), Some(Timestamp::MAX));
        assert_eq!((back.environment(), back.last()), (Environment::Test, Position::new(1 << 40)));
        assert_eq!(back.to_bytes(), row.to_bytes());
        let cold = ColdRow::new(refs, Revision::new(77));
        let back = ColdRow::from_bytes(&cold.to_bytes());
        assert_eq!((back.labels(), back.issuer(), back.revision()), (8, 9, Revision::new(77)));
    }

    #[test]
    fn an_end_takes_the_place_of_the_expiry() {
        let mut row = HotRow::unread(KeyId::from_u128(5), 0, Position::new(1));
        row.set_until(Some(Timestamp::from_millis(50)));
        assert_eq!((row.expires_at(), row.ended_at()), (Some(Timestamp::from_millis(50)), None));
        row.end(Standing::Revoked, Timestamp::from_millis(0));
        assert_eq!((row.expires_at(), row.ended_at()), (None, Some(Timestamp::from_millis(0))));
        assert!(row.is_quarantined() && !row.is_issued());
    }

    #[test]
    fn flags_that_no_row_has_are_refused() {
        for flags in 0..=u8::MAX {
            let mut bytes = HotRow::ABSENT.to_bytes();
            bytes[63] = flags;
            let fits = flags & STANDING <= 4 && (flags & IMPORTED == 0 || flags & ISSUED != 0);
            assert_eq!(HotRow::from_bytes(&bytes).is_some(), fits, "{flags}");
        }
    }
}
