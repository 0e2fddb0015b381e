//! Every seal of one store, on its way to another or into a backup.

use std::fmt;

use domain::TenantId;

use crate::port::SubjectSeal;
use crate::subject_name::Name;

/// All that a store of seals holds, taken and given back at once. A subject's seal keeps its name: it is the same in every
/// store. What was destroyed is carried as destroyed, so that it never comes back by a copy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CarriedSeals {
    /// The tenants' seals.
    pub tenants: Vec<(TenantId, Vec<u8>)>,
    /// The newest seal of each subject.
    pub subjects: Vec<(Name, SubjectSeal)>,
}

impl CarriedSeals {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tenants.len() + self.subjects.len()
    }
}

impl fmt::Debug for CarriedSeals {
    /// Seals are secrets: only how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CarriedSeals")
            .field("tenants", &self.tenants.len())
            .field("subjects", &self.subjects.len())
            .finish()
    }
}
