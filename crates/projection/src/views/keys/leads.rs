//! The names of the rows of the view `keys`: the row itself, and those under which a key is found.

use domain::{KeyId, Standing, TenantId};

use super::row::{RotationState, may_expire};
use super::stored::{StoredRow, code_of, code_of_phase};
use crate::views::RowName;

/// The kinds of rows. All but the first have no value: they only lead to a key.
pub(super) const ROW: u8 = b'r';
pub(super) const BY_OWNER: u8 = b'o';
const BY_LABEL: u8 = b'l';
pub(super) const BY_STANDING: u8 = b's';
pub(super) const BY_EXPIRY: u8 = b'x';
/// Of all tenants by time: whose time is up next, whose suspension ends next.
pub(super) const DUE: u8 = b'e';
pub(super) const DUE_SUSPENSION: u8 = b'u';
/// Of all tenants: rotations by what became of them, and successors of running ones that were not used yet.
pub(super) const ROTATION: u8 = b'p';
pub(super) const UNUSED: u8 = b'f';

pub(super) fn row_name(tenant: &TenantId, key_id: KeyId) -> Vec<u8> {
    RowName::of(ROW).tenant(tenant).key_id(key_id).done()
}

pub(super) fn label_prefix(tenant: &TenantId, name: &str, value: &str) -> RowName {
    let row = RowName::of(BY_LABEL).tenant(tenant);
    row.bytes(name.as_bytes()).bytes(b"=").bytes(value.as_bytes()).bytes(&[0])
}

/// Under what a key can be found: its standing always, and what comes with it.
pub(super) fn leads(tenant: &TenantId, key_id: KeyId, row: &StoredRow) -> Vec<Vec<u8>> {
    let of = |kind| RowName::of(kind).tenant(tenant);
    let by_time = |kind, ms| RowName::of(kind).number(ms).tenant(tenant).key_id(key_id).done();
    let standing = row.standing();
    let mut leads = vec![of(BY_STANDING).bytes(&[code_of(standing)]).key_id(key_id).done()];
    if let Some(grant) = &row.grant {
        leads.push(of(BY_OWNER).bytes(&grant.owner_tag).key_id(key_id).done());
        for (name, value) in &grant.labels {
            leads.push(label_prefix(tenant, name, value).key_id(key_id).done());
        }
        if grant.expires_at_ms != 0 && may_expire(standing) {
            leads.push(of(BY_EXPIRY).number(grant.expires_at_ms).key_id(key_id).done());
            leads.push(by_time(DUE, grant.expires_at_ms));
        }
    }
    if row.suspended_until_ms != 0 && standing == Standing::Suspended {
        leads.push(by_time(DUE_SUSPENSION, row.suspended_until_ms));
    }
    if let (Some(rotation), Some(state)) = (&row.rotation, row.rotation_state()) {
        let code = code_of_phase(state.phase());
        leads.push(RowName::of(ROTATION).bytes(&[code]).tenant(tenant).key_id(key_id).done());
        if state == RotationState::Running && rotation.adopted_at_ms == 0 {
            leads.push(of(UNUSED).bytes(&rotation.successor).done());
        }
    }
    leads
}
