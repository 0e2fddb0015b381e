//! What the file keeps, forgets and survives.

use domain::OwnerTag;

use super::*;

fn ada() -> Subject {
    Subject { tenant: "acme".parse().unwrap(), owner: OwnerTag::from_bytes([5; 16]) }
}

fn bob() -> Subject {
    Subject { tenant: "acme".parse().unwrap(), owner: OwnerTag::from_bytes([6; 16]) }
}

fn whole(generation: u32, byte: u8) -> SubjectSeal {
    SubjectSeal { generation, secret: Some([byte; 32]) }
}

fn opened(folder: &Path) -> SubjectFile {
    SubjectFile::create(folder).unwrap()
}

fn put(file: &SubjectFile, subject: Subject, seal: SubjectSeal) -> SubjectSeal {
    file.put(&[(subject, seal)]).unwrap().remove(0)
}

fn read(file: &SubjectFile, subject: Subject) -> Option<SubjectSeal> {
    file.read(&[subject]).unwrap().remove(0)
}

#[test]
fn a_destroyed_secret_is_nowhere_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = opened(folder.path());
    put(&file, ada(), whole(1, 0xa5));
    put(&file, bob(), whole(1, 0x5a));
    let holds = |byte: u8| {
        let bytes = fs::read(folder.path().join(NAME)).unwrap();
        bytes.windows(8).any(|part| part == [byte; 8])
    };
    assert!(holds(0xa5) && holds(0x5a));
    file.destroy(&ada(), 1).unwrap();
    assert!(!holds(0xa5), "the secret is still there");
    assert!(holds(0x5a), "another's secret is gone");
    let again = opened(folder.path());
    assert_eq!(read(&again, ada()), Some(SubjectSeal::destroyed(1)));
    assert_eq!(read(&again, bob()), Some(whole(1, 0x5a)));
}

#[test]
fn a_file_that_ends_in_the_middle_goes_on_after_its_last_whole_slot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    put(&opened(folder.path()), ada(), whole(1, 7));
    put(&opened(folder.path()), bob(), whole(1, 8));
    let whole_file = fs::read(&path).unwrap();
    assert_eq!(whole_file.len(), 2 * SLOT);
    for cut in SLOT..2 * SLOT {
        fs::write(&path, &whole_file[..cut]).unwrap();
        let file = opened(folder.path());
        assert_eq!(read(&file, ada()), Some(whole(1, 7)), "cut at {cut}");
        assert_eq!(read(&file, bob()), None, "cut at {cut}");
        assert_eq!(put(&file, bob(), whole(1, 9)), whole(1, 9));
        assert_eq!(read(&opened(folder.path()), bob()), Some(whole(1, 9)), "cut at {cut}");
    }
}

#[test]
fn a_head_that_was_not_finished_is_nobody_s_and_costs_no_other_slot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    let file = opened(folder.path());
    file.put(&[(ada(), whole(1, 7)), (bob(), whole(1, 8))]).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[3] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(read(&file, ada()), None);
    assert_eq!(read(&file, bob()), Some(whole(1, 8)));
    assert_eq!(put(&file, ada(), whole(1, 9)), whole(1, 9));
}

#[test]
fn a_body_that_was_half_overwritten_is_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    put(&opened(folder.path()), ada(), whole(1, 7));
    let whole_file = fs::read(&path).unwrap();
    for overwritten in HEAD + 1..SLOT {
        let mut bytes = whole_file.clone();
        bytes[HEAD..overwritten].fill(0);
        fs::write(&path, &bytes).unwrap();
        let file = opened(folder.path());
        assert_eq!(read(&file, ada()), Some(SubjectSeal::destroyed(1)), "up to {overwritten}");
        assert_eq!(put(&file, ada(), whole(1, 7)), SubjectSeal::destroyed(1));
        assert_eq!(put(&file, ada(), whole(2, 9)), whole(2, 9));
    }
}

#[test]
fn a_file_put_back_under_a_running_server_is_used_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    let file = opened(folder.path());
    put(&file, ada(), whole(1, 7));
    let backup = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(file.put(&[(bob(), whole(1, 8))]).is_err(), "a seal was put where nobody finds it");
    assert!(file.read(&[ada()]).is_err());
    fs::write(&path, &backup).unwrap();
    assert_eq!(read(&file, ada()), Some(whole(1, 7)));
    assert_eq!(put(&file, bob(), whole(1, 8)), whole(1, 8));
}

#[tokio::test]
async fn each_of_many_that_wait_is_answered_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (file, waiting) = (Arc::new(opened(folder.path())), Arc::new(Waiting::default()));
    let subject = |n: u8| Subject { owner: OwnerTag::from_bytes([n; 16]), ..ada() };
    let puts = (0..200).map(|n| waiting.put(&file, subject(n % 100), whole(1, n)));
    for (n, put) in (0..).zip(futures_util::future::join_all(puts).await) {
        let first: u8 = if n < 100 { n } else { n - 100 };
        assert_eq!(put.unwrap(), whole(1, first));
    }
    assert_eq!(fs::metadata(folder.path().join(NAME)).unwrap().len(), 100 * SLOT_LEN);
    assert!(!waiting.queue().writing);
}
