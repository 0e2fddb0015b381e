//! Bugs around erasing and keeping for the tests to find; a build without the feature `planted` has none and asks for none.

use std::sync::Arc;

use eventlog::SealStore;

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A seal is said to be destroyed, and is not.
    #[cfg(feature = "planted")]
    SealSurvives,
    /// What goes into the log first goes there as it was written.
    #[cfg(feature = "planted")]
    TextUnsealed,
    /// A backup's seals are taken, and its description does not name them.
    PartForgotten,
    /// A backup keeps the parts of the runs before: seals that an erasure has destroyed since.
    OldPartsStay,
    /// A restored log is trusted before anybody has said what came after the backup.
    TrustsRestored,
}

#[cfg(feature = "planted")]
mod in_tests {
    use async_trait::async_trait;
    use domain::{OwnerTag, Subject, TenantId};
    use eventlog::{CarriedSeals, ReadError, SubjectSeal};

    use super::{Arc, Bug, SealStore};

    /// Names the one bug that a process of the tests is to have.
    const NAMED_BY: &str = "RESCIND_PLANTED";

    impl Bug {
        const fn name(self) -> &'static str {
            match self {
                Self::SealSurvives => "seal-survives",
                Self::TextUnsealed => "text-unsealed",
                Self::PartForgotten => "part-forgotten",
                Self::OldPartsStay => "old-parts-stay",
                Self::TrustsRestored => "trusts-restored",
            }
        }

        #[expect(
            clippy::disallowed_methods,
            reason = "the verbs of one process share no configuration, and only tests ask"
        )]
        pub(crate) fn is_planted(self) -> bool {
            std::env::var(NAMED_BY).is_ok_and(|named| named == self.name())
        }
    }

    /// Destroys nothing.
    #[derive(Debug)]
    struct Surviving(Arc<dyn SealStore>);

    pub(crate) fn seals(store: Arc<dyn SealStore>) -> Arc<dyn SealStore> {
        if Bug::SealSurvives.is_planted() { Arc::new(Surviving(store)) } else { store }
    }

    #[async_trait]
    impl SealStore for Surviving {
        async fn seal(&self, tenant: &TenantId) -> Result<Option<Vec<u8>>, ReadError> {
            self.0.seal(tenant).await
        }

        async fn put_seal_once(&self, tenant: &TenantId, seal: &[u8]) -> Result<Vec<u8>, ReadError> {
            self.0.put_seal_once(tenant, seal).await
        }

        async fn subject_seals(
            &self,
            tenant: &TenantId,
            owners: &[OwnerTag],
        ) -> Result<Vec<Option<SubjectSeal>>, ReadError> {
            self.0.subject_seals(tenant, owners).await
        }

        async fn put_subject_seal(
            &self,
            subject: &Subject,
            offered: &SubjectSeal,
        ) -> Result<SubjectSeal, ReadError> {
            self.0.put_subject_seal(subject, offered).await
        }

        async fn destroy_subject_seal(&self, _subject: &Subject, _generation: u32) -> Result<(), ReadError> {
            Ok(())
        }

        async fn carry(&self) -> Result<CarriedSeals, ReadError> {
            self.0.carry().await
        }

        async fn take_in(&self, seals: CarriedSeals) -> Result<Option<TenantId>, ReadError> {
            self.0.take_in(seals).await
        }
    }
}

#[cfg(feature = "planted")]
pub(crate) use in_tests::seals;

#[cfg(not(feature = "planted"))]
impl Bug {
    #[expect(clippy::unused_self, reason = "the planted twin asks which one is named")]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }
}

#[cfg(not(feature = "planted"))]
pub(crate) const fn seals(store: Arc<dyn SealStore>) -> Arc<dyn SealStore> {
    store
}
