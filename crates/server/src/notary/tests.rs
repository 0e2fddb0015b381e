//! What a notary signs, what survives a crash, and what it refuses to sign.

use std::sync::Arc;
use std::time::Duration;

use application::{Ambient, SystemAmbient};
use domain::{EventId, LogId};
use eventlog::{EventLog, MemoryLog, NewEvent, Outcome, Queue, Unit};
use proof::leaf_hash;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// More than a checkpoint takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Desk {
    dir: TempDir,
    log: Arc<dyn EventLog>,
}

impl Desk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), log: Arc::new(MemoryLog::create(LogId::from_u128(7))) }
    }

    async fn append(&self, from: u64, to: u64) {
        for n in from..=to {
            append(&*self.log, n, format!("list {n}")).await;
        }
    }

    async fn open(&self) -> Result<(Arc<Notary>, Work), NotaryError> {
        let ambient: Arc<dyn Ambient> = Arc::new(SystemAmbient);
        open(self.dir.path().join("notary"), &self.signer(), &self.log, &ambient).await
    }

    fn signer(&self) -> PathBuf {
        self.dir.path().join("signer.key")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("notary").join(name)
    }

    /// Lets it run until it covers so much, then stops it as a crash does.
    async fn run_until(&self, size: u64) -> Checkpoint {
        let (notary, work) = self.open().await.unwrap();
        let worker = tokio::spawn(work.run());
        let checkpoint = covering(&notary, size).await;
        end(worker).await;
        checkpoint
    }
}

async fn append(log: &dyn EventLog, n: u64, text: String) {
    let event = NewEvent { id: EventId::from_u128(n.into()), payload: text.into() };
    let stream = format!("acme.list-{n}").parse().unwrap();
    let unit = Unit::single(stream, Position::NONE, event, Queue::Normal);
    assert!(matches!(log.append(unit).await.unwrap(), Outcome::Appended { .. }));
}

async fn end(worker: JoinHandle<()>) {
    worker.abort();
    let _ = worker.await;
}

async fn covering(notary: &Notary, size: u64) -> Checkpoint {
    let mut published = notary.follow();
    let covers = published.wait_for(|published| published.as_ref().is_some_and(|last| last.size >= size));
    let last = timeout(PATIENCE, covers).await.expect("in time").unwrap().clone().unwrap();
    let checkpoint = Checkpoint::parse(&last.bytes).unwrap();
    assert!(!checkpoint.signed_by(&notary.origin(), &notary.vkeys()).unwrap().is_empty());
    checkpoint
}

fn root(size: u64) -> proof::Hash {
    let mut frontier = proof::Frontier::default();
    (1..=size)
        .for_each(|n| frontier.push(leaf_hash(Position::new(n), format!("list {n}").as_bytes()), |_, _| {}));
    frontier.root()
}

#[tokio::test]
async fn each_event_is_covered_by_the_root_of_all_before_it() {
    let desk = Desk::new();
    let (notary, work) = desk.open().await.unwrap();
    let worker = tokio::spawn(work.run());
    for (from, to) in [(1, 1), (2, 300), (301, 301)] {
        desk.append(from, to).await;
        assert_eq!(covering(&notary, to).await.root(), root(to));
    }
    assert_eq!(notary.levels().len(0).unwrap(), 301);
    end(worker).await;
}

#[tokio::test]
async fn a_start_goes_on_behind_the_last_checkpoint_whatever_was_written_after_it() {
    let desk = Desk::new();
    desk.append(1, 300).await;
    assert_eq!(desk.run_until(300).await.root(), root(300));
    // As a crash between the tree and the checkpoint leaves it, and as a torn write does.
    for level in [0, 1] {
        let path = desk.dir.path().join(format!("notary/levels/{level}"));
        let longer = [std::fs::read(&path).unwrap(), vec![7; 77]].concat();
        std::fs::write(&path, longer).unwrap();
    }
    desk.append(301, 600).await;
    assert_eq!(desk.run_until(600).await.root(), root(600));
}

#[tokio::test]
async fn a_tree_that_was_lost_or_damaged_is_made_anew_and_compared() {
    let desk = Desk::new();
    desk.append(1, 300).await;
    desk.run_until(300).await;
    std::fs::remove_dir_all(desk.file(LEVELS)).unwrap();
    desk.append(301, 310).await;
    assert_eq!(desk.run_until(310).await.root(), root(310));
    let path = desk.dir.path().join("notary/levels/0");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(desk.open().await.is_ok());
    assert_eq!(desk.run_until(310).await.root(), root(310));
}

#[tokio::test]
async fn damage_that_the_start_did_not_look_at_is_mended_before_anything_is_signed() {
    let desk = Desk::new();
    desk.append(1, 300).await;
    desk.run_until(300).await;
    let (notary, mut work) = desk.open().await.unwrap();
    work.compared_from = 300;
    let path = desk.file("levels/0");
    let whole = std::fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let worker = tokio::spawn(work.run());
    desk.append(301, 310).await;
    assert_eq!(covering(&notary, 310).await.root(), root(310));
    assert_eq!(std::fs::read(&path).unwrap()[..whole.len()], whole);
    end(worker).await;
}

#[tokio::test]
async fn a_log_that_is_shorter_or_differs_is_not_signed() {
    let mut desk = Desk::new();
    desk.append(1, 20).await;
    desk.run_until(20).await;
    desk.log = Arc::new(MemoryLog::create(LogId::from_u128(7)));
    desk.append(1, 15).await;
    let shorter = desk.open().await.err().unwrap();
    assert!(shorter.to_string().contains("position 16 is the first that is missing"), "{shorter}");
    append(&*desk.log, 16, "campaign 16".to_owned()).await;
    desk.append(17, 25).await;
    // As often as it is asked: the tree that tells where is left as it is.
    desk.open().await.err().unwrap();
    let differs = desk.open().await.err().unwrap();
    assert!(matches!(&differs, NotaryError::LogDiffers { position } if position.get() == 16), "{differs}");
    // Without the tree it can only be told that it is so.
    std::fs::remove_dir_all(desk.file(LEVELS)).unwrap();
    assert!(matches!(desk.open().await, Err(NotaryError::RootDiffers { .. })));
}

#[tokio::test]
async fn what_the_start_did_not_compare_the_worker_does_before_it_signs() {
    let desk = Desk::new();
    desk.append(1, 20).await;
    desk.run_until(20).await;
    let levels = Levels::new(desk.file(LEVELS));
    opening::compare(&levels, &*desk.log, 0, 20).await.unwrap();
    let other = MemoryLog::create(LogId::from_u128(7));
    for n in 1..=20 {
        append(&other, n, if n == 5 { "campaign".to_owned() } else { format!("list {n}") }).await;
    }
    opening::compare(&levels, &other, 5, 20).await.unwrap();
    let differs = opening::compare(&levels, &other, 4, 20).await.unwrap_err();
    assert!(matches!(differs, NotaryError::LogDiffers { position } if position.get() == 5));
}

#[tokio::test]
async fn signers_are_made_once_kept_to_their_owner_and_exchanged_while_it_runs() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    desk.append(1, 1).await;
    let (notary, work) = desk.open().await.unwrap();
    assert_eq!(desk.signer().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let worker = tokio::spawn(work.run());
    let first = covering(&notary, 1).await;
    let old = notary.vkeys();
    let text = std::fs::read_to_string(desk.signer()).unwrap();
    let both = proof::SignerFile::new(text).with_another([9; 32].into()).unwrap();
    put(&desk.signer(), both.expose());
    desk.append(2, 2).await;
    let second = covering(&notary, 2).await;
    assert_eq!((old.len(), notary.vkeys().len()), (1, 2));
    assert_eq!(second.signed_by(&notary.origin(), &notary.vkeys()).unwrap().len(), 2);
    put(&desk.signer(), b"nothing\n");
    desk.append(3, 3).await;
    assert_eq!(
        covering(&notary, 3).await.signed_by(&notary.origin(), &old).unwrap().len(),
        1,
        "the old ones go on"
    );
    put(&desk.signer(), both.without(&old[0].short_id()).unwrap().expose());
    desk.append(4, 4).await;
    let last = covering(&notary, 4).await;
    assert!(last.signed_by(&notary.origin(), &old).is_err());
    assert!(first.signed_by(&notary.origin(), &old).is_ok());
    end(worker).await;
    std::fs::remove_file(desk.signer()).unwrap();
    assert!(matches!(desk.open().await, Err(NotaryError::SignerMissing { .. })));
    put(&desk.signer(), proof::SignerFile::create(&notary.origin(), [8; 32].into()).expose());
    assert!(matches!(desk.open().await, Err(NotaryError::Checkpoint { .. })), "strangers do not go on");
}

#[tokio::test]
async fn an_idle_log_is_signed_again_each_hour_and_tells_when() {
    let desk = Desk::new();
    desk.append(1, 3).await;
    let (notary, work) = desk.open().await.unwrap();
    let worker = tokio::spawn(work.run());
    let first = covering(&notary, 3).await;
    let mut published = notary.follow();
    let before = published.borrow_and_update().clone().unwrap();
    tokio::time::pause();
    let almost = worker::SIGN_AGAIN_AFTER - Duration::from_secs(2);
    tokio::time::advance(almost).await;
    tokio::task::yield_now().await;
    assert!(!published.has_changed().unwrap(), "it was signed again within the hour");
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::time::resume();
    timeout(PATIENCE, published.changed()).await.expect("an idle log is signed again").unwrap();
    let again = published.borrow().clone().unwrap();
    assert_eq!((again.size, &again.bytes[..]), (3, &first.to_bytes()[..]), "of the same events");
    assert!(again.signed_at >= before.signed_at && notary.going().failures == 0);
    end(worker).await;
    // What a start finds is as old as its file, and signed again if that is an hour.
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    std::fs::File::options().write(true).open(desk.file(CHECKPOINT)).unwrap().set_modified(old).unwrap();
    let (notary, work) = desk.open().await.unwrap();
    assert_eq!(notary.published().unwrap().signed_at.as_millis(), 1_700_000_000_000);
    let mut published = notary.follow();
    published.mark_unchanged();
    let worker = tokio::spawn(work.run());
    timeout(PATIENCE, published.changed()).await.expect("it is due at once").unwrap();
    assert!(notary.published().unwrap().age_ms(SystemAmbient.now()) < 3_600_000);
    end(worker).await;
}

#[tokio::test]
async fn a_disk_that_refuses_is_told_until_something_is_signed() {
    let desk = Desk::new();
    desk.append(1, 1).await;
    let (notary, work) = desk.open().await.unwrap();
    let worker = tokio::spawn(work.run());
    covering(&notary, 1).await;
    // A folder in the place of what is written aside: no checkpoint can be put.
    let aside = desk.file(CHECKPOINT).with_added_extension("part");
    std::fs::create_dir(&aside).unwrap();
    desk.append(2, 2).await;
    let told = async {
        loop {
            let going = notary.going();
            if going.failures > 0 {
                return going;
            }
            tokio::task::yield_now().await;
        }
    };
    let going = timeout(PATIENCE, told).await.expect("it is told");
    assert!(going.trouble.is_some_and(|trouble| trouble.contains("cannot be written")) && !going.stopped);
    std::fs::remove_dir(&aside).unwrap();
    assert_eq!(covering(&notary, 2).await.root(), root(2));
    let over = async {
        while notary.going().trouble.is_some() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, over).await.expect("it is over");
    assert!(notary.going().failures > 0, "and was counted");
    end(worker).await;
}

/// A file whose time of change differs from that of the one before.
fn put(path: &Path, bytes: &[u8]) {
    let before = path.metadata().and_then(|file| file.modified()).ok();
    std::fs::write(path, bytes).unwrap();
    if let Some(before) = before {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(before + Duration::from_secs(1)).unwrap();
    }
}
