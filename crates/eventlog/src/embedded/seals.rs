//! Seals: a folder with one file a tenant, each written once, and one file for all subjects.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use domain::{OwnerTag, Subject, TenantId};

use super::subjects::{SubjectFile, Waiting};
use crate::carried::CarriedSeals;
use crate::port::{ReadError, SealStore, SubjectSeal};

/// The most unfinished files of one tenant: as many writers at once and crashes in the middle as can be meant.
const MAX_DRAFTS: u32 = 1000;

/// A folder of seals, each readable by its owner only. A tenant's seal is the file of its name; a name that begins with a
/// dot is a seal that was being written when somebody stopped, and nobody reads it.
///
/// Two processes may use one folder: a seal gets its name by a hard link, which fails if the name is taken.
#[derive(Clone, Debug)]
pub struct EmbeddedSeals {
    folder: Arc<Path>,
    subjects: Arc<SubjectFile>,
    waiting: Arc<Waiting>,
}

impl EmbeddedSeals {
    /// Uses this folder, and makes it if it is not there.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(folder: &Path) -> io::Result<Self> {
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
            #[cfg(unix)]
            fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
            super::storage::sync_folder_of(folder)?;
        }
        let subjects = Arc::new(SubjectFile::create(folder)?);
        Ok(Self { folder: folder.into(), subjects, waiting: Arc::default() })
    }

    fn path(&self, tenant: &TenantId) -> PathBuf {
        self.folder.join(tenant.as_str())
    }

    fn read(&self, tenant: &TenantId) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(tenant)) {
            Ok(seal) => Ok(Some(seal)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put_once(&self, tenant: &TenantId, seal: &[u8]) -> io::Result<Vec<u8>> {
        if let Some(standing) = self.read(tenant)? {
            // Its writer may have stopped before the folder was synced.
            File::open(&self.folder)?.sync_all()?;
            return Ok(standing);
        }
        let (draft, mut file) = self.draft(tenant)?;
        let written = file.write_all(seal).and_then(|()| file.sync_all());
        let linked = written.and_then(|()| fs::hard_link(&draft, self.path(tenant)));
        // If we stop here, the draft stays and is never read.
        let _ = fs::remove_file(&draft);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => File::open(&self.folder)?.sync_all()?,
        }
        self.read(tenant)?.ok_or_else(|| io::Error::other("the seal was taken away"))
    }

    /// A new file of this call's own: never one that another process writes, nor one that was left behind.
    fn draft(&self, tenant: &TenantId) -> io::Result<(PathBuf, File)> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        for number in 0..MAX_DRAFTS {
            let path = self.folder.join(format!(".{tenant}.{number}"));
            match options.open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return opened.map(|file| (path, file)),
            }
        }
        Err(io::Error::other(format!("{MAX_DRAFTS} unfinished seals lie beside it: remove .{tenant}.*")))
    }

    async fn whole<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let this = self.clone();
        let ran = tokio::task::spawn_blocking(move || run(&this)).await;
        ran.map_err(io::Error::other).flatten().map_err(|error| ReadError::Unavailable {
            reason: format!("the seals in {}: {error}", self.folder.display()),
        })
    }

    /// A file that is named like no tenant is a draft, or not ours.
    fn read_tenants(&self) -> io::Result<Vec<(TenantId, Vec<u8>)>> {
        let mut seals = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let tenant: Option<TenantId> = name.to_str().and_then(|name| name.parse().ok());
            if let Some(tenant) = tenant
                && let Some(seal) = self.read(&tenant)?
            {
                seals.push((tenant, seal));
            }
        }
        seals.sort();
        Ok(seals)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        run: impl FnOnce(&Self, &TenantId) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (this, of) = (self.clone(), tenant.clone());
        let ran = tokio::task::spawn_blocking(move || run(&this, &of)).await;
        let failed = |reason: &dyn std::fmt::Display| ReadError::Unavailable {
            reason: format!("the seal {}: {reason}", self.path(tenant).display()),
        };
        ran.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

#[async_trait]
impl SealStore for EmbeddedSeals {
    async fn seal(&self, tenant: &TenantId) -> Result<Option<Vec<u8>>, ReadError> {
        self.blocking(tenant, |this, tenant| this.read(tenant)).await
    }

    async fn put_seal_once(&self, tenant: &TenantId, seal: &[u8]) -> Result<Vec<u8>, ReadError> {
        let seal = seal.to_vec();
        self.blocking(tenant, move |this, tenant| this.put_once(tenant, &seal)).await
    }

    async fn subject_seals(
        &self,
        tenant: &TenantId,
        owners: &[OwnerTag],
    ) -> Result<Vec<Option<SubjectSeal>>, ReadError> {
        let of = |owner: &OwnerTag| Subject { tenant: tenant.clone(), owner: *owner };
        let (subjects, file) = (owners.iter().map(of).collect::<Vec<_>>(), Arc::clone(&self.subjects));
        let read = tokio::task::spawn_blocking(move || file.read(&subjects)).await;
        read.map_err(io::Error::other).flatten().map_err(|error| subjects_away(&error))
    }

    async fn put_subject_seal(
        &self,
        subject: &Subject,
        offered: &SubjectSeal,
    ) -> Result<SubjectSeal, ReadError> {
        let put = self.waiting.put(&self.subjects, subject.clone(), offered.clone()).await;
        put.map_err(|error| subjects_away(&error))
    }

    async fn destroy_subject_seal(&self, subject: &Subject, generation: u32) -> Result<(), ReadError> {
        let (subject, file) = (subject.clone(), Arc::clone(&self.subjects));
        let destroyed = tokio::task::spawn_blocking(move || file.destroy(&subject, generation)).await;
        destroyed.map_err(io::Error::other).flatten().map_err(|error| subjects_away(&error))
    }

    async fn carry(&self) -> Result<CarriedSeals, ReadError> {
        self.whole(|this| {
            Ok(CarriedSeals { tenants: this.read_tenants()?, subjects: this.subjects.read_all()? })
        })
        .await
    }

    async fn take_in(&self, seals: CarriedSeals) -> Result<Option<TenantId>, ReadError> {
        self.whole(move |this| {
            for (tenant, seal) in &seals.tenants {
                if this.put_once(tenant, seal)? != *seal {
                    return Ok(Some(tenant.clone()));
                }
            }
            this.subjects.take_in(&seals.subjects)?;
            Ok(None)
        })
        .await
    }
}

fn subjects_away(error: &io::Error) -> ReadError {
    ReadError::Unavailable { reason: format!("the seals of subjects: {error}") }
}
