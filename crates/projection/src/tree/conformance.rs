//! What every tree must do, run by each of them.

use super::{Pair, Tree, TreeError};

/// Opens the same empty tree several times, one after the other, and checks the contract of [`Tree`].
///
/// # Panics
/// With what the tree did wrong.
pub fn check<T: Tree>(open: &dyn Fn() -> Result<T, TreeError>) {
    let tree = open().expect("an empty tree opens");
    keeps_order(&tree);
    applies_whole_batches(&tree);
    let before = all(&tree);
    tree.flush().expect("it flushes");
    drop(tree);
    let tree = open().expect("it opens again");
    assert_eq!(all(&tree), before, "what was flushed is there after opening again");
}

fn all(tree: &dyn Tree) -> Vec<Pair> {
    tree.scan(b"", None, usize::MAX).expect("it can be scanned")
}

fn keys(pairs: Vec<Pair>) -> Vec<Vec<u8>> {
    pairs.into_iter().map(|(key, _)| key).collect()
}

fn keeps_order(tree: &dyn Tree) {
    let rows: [&[u8]; 7] = [b"b", b"a\xff\xff", b"a", b"a\x00", b"a\xff", b"\xff\xff", b"ab"];
    tree.apply(rows.iter().map(|key| (key.to_vec(), Some(key.to_vec()))).collect()).expect("it applies");
    let scan = |prefix: &[u8], after: Option<&[u8]>, limit| {
        keys(tree.scan(prefix, after, limit).expect("it can be scanned"))
    };
    assert_eq!(scan(b"a", None, 10), [&b"a"[..], b"a\x00", b"ab", b"a\xff", b"a\xff\xff"]);
    assert_eq!(scan(b"a", Some(b"a\x00"), 2), [&b"ab"[..], b"a\xff"], "after is exclusive, limit holds");
    assert_eq!(scan(b"a", Some(b"Z"), 1), [b"a"], "an earlier start is the prefix itself");
    assert_eq!(scan(b"a", Some(b"b"), 1), [b""; 0], "a later start finds nothing");
    assert_eq!(scan(b"\xff", None, 9), [b"\xff\xff"]);
    assert_eq!(scan(b"c", None, 9), [b""; 0]);
    let last = |prefix: &[u8]| tree.last(prefix).expect("it can be read").map(|(key, _)| key);
    assert_eq!(last(b"a"), Some(b"a\xff\xff".to_vec()));
    assert_eq!(last(b"\xff"), Some(b"\xff\xff".to_vec()));
    assert_eq!(last(b"a\xff"), Some(b"a\xff\xff".to_vec()));
    assert_eq!(last(b"c"), None);
    assert_eq!(tree.get(b"ab").expect("it can be read"), Some(b"ab".to_vec()));
    assert_eq!(tree.get(b"abc").expect("it can be read"), None);
}

fn applies_whole_batches(tree: &dyn Tree) {
    let batch = vec![
        (b"ab".to_vec(), None),
        (b"b".to_vec(), Some(b"new".to_vec())),
        (b"absent".to_vec(), None),
        (b"d".to_vec(), Some(Vec::new())),
    ];
    tree.apply(batch).expect("it applies");
    let value = |key: &[u8]| tree.get(key).expect("it can be read");
    assert_eq!(value(b"ab"), None);
    assert_eq!(value(b"b"), Some(b"new".to_vec()));
    assert_eq!(value(b"d"), Some(Vec::new()), "an empty value is a value");
}
