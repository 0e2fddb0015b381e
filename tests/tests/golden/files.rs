//! Reads the golden files, and holds them to the digests that they had when they were written.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Every golden file and its SHA-256. A row is added with its file and never changed.
const DIGESTS: [(&str, &str); 25] = [
    ("key-ids.txt", "35a2868216f5a911a64fc0841fe13de4d3e9a4c1993ac23a969c9b5ec10d1e03"),
    ("keys-refused.txt", "8829d80a670fff10cc439e0032a0cd9e3f18e214f94943602cb417bba6223eb3"),
    ("keys.txt", "dbcb3e8652f584fa9dfc963fe0480efcce33dbbac02282d55e87e649830db6f7"),
    ("notices/expired.json", "17e9d1a4f68a8996987052ef881f69a9d551926168354a5b0eb8b0229339200b"),
    ("notices/issued-sealed.json", "b78a9e7c2fa5016c33c1d141994a67d557e1d8250cc7b02bcc7ed79736378c9e"),
    ("notices/issued.json", "3afc40838f8f41fd983fe71663659065f23eb28c54ed3da565ecba7c42639aac"),
    ("notices/revoked.json", "15372dd84f961ccdf1eadfcb1549dfd88bd889a85988b241ee73d93b712df6b1"),
    ("owner-tags.txt", "8c01d0fbf7a4cad75bbc93190db7b0f7c5da0025415e9156dd294c1fe6f0362d"),
    ("request-tags.txt", "58261038f5522db6ed214d9761f9b728734a5f7867ae02d1b266c5802c43b67c"),
    ("v1/KeyExpired.hex", "7fa3e11af6563c4c9ece786c277aba04956651f57bdaf5e453e1d0e07bbd57f4"),
    ("v1/KeyIssued-minimal.hex", "0e8d1fecd5bcdf03432e09e60d0b54fe05289db61418c562c92e7513925b71de"),
    ("v1/KeyIssued-sealed.hex", "2b765b907d729cbee231b8deddef44717b034d439db38811787b5066f50d1ec8"),
    ("v1/KeyIssued.hex", "02ba80b3b174a97c60f6a1193782b8c3d2e6bfadd85a5a1a1cec6c75282faff5"),
    ("v1/KeyRevoked-compromised.hex", "b487359eaf0420406406629bd274e58e055977db6a6471e29670ac7a4f60a243"),
    ("v1/KeyRevoked-leaked.hex", "f65ef85d852dd1b5c2907682ff0ffd70ad7e4232ba526bff0f895002d0712e9a"),
    ("v1/KeyRevoked-other.hex", "e299421c3e9ccd20bb8946780348cb6eb3dcc88e53881c9a7e8193b537167b73"),
    ("v1/KeyRevoked-owner_left.hex", "2005eec187d55a8ca419c195b9b35eb6dc81e6d714c0376ac3d134713ab46dcc"),
    ("v1/KeyRevoked-policy.hex", "f0bcb00b8ca44d9cf876d0f456de97b8110dacb6a0d4a8b06878176ffc6dae45"),
    ("v1/KeyRevoked-requested.hex", "a08bf668fb3dc0bdb3cf7a6cf46dcba0dd8cc125ed39152ded8021321e76dd12"),
    ("v1/KeyRevoked-service_changed.hex", "05c2eb2fa81c876597410885521e901b0862d255d9ec47ced66575a7856163b3"),
    ("v1/KeyRevoked-superseded.hex", "d2da8c58717ebe8ccace7d34d2568c5ed95c8e0ea849b5faf4e88635baa6468b"),
    ("v1/KeyRevoked-unused.hex", "3ae11deb98c71a78f335b31103c19260bc0e0de298de269c0743a8231b8a2224"),
    ("v1/TenantOpened-bootstrap.hex", "3b8463849588f0fcdad452786297441ac24d47aa104aef3f5c96a1a780d0a543"),
    ("v1/TenantOpened-sealed.hex", "96afbf10cb08afa72933429cd4d226955e22f32eefd3a5d71523aa1101f2390e"),
    ("v1/TenantOpened.hex", "e29df015608e9558868a650141c4bc518cf2924b62300c7a722afec013aed189"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("tests/golden/{name}: {error}"))
}

/// The rows of a list of vectors, without its heading.
pub(crate) fn rows(name: &str) -> Vec<String> {
    let rows: Vec<String> =
        text(name).lines().filter(|line| !line.starts_with("# ")).map(str::to_owned).collect();
    assert!(rows.len() > 3, "tests/golden/{name} has lost its rows");
    rows
}

/// The bytes of an event: the first word of each line, the rest of which says what it is.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    text(name).lines().flat_map(|line| unhex(line.split_whitespace().next().unwrap_or_default())).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("golden bytes are hexadecimal");
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).expect("a byte"))
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names in one folder below `tests/golden`.
pub(crate) fn names(below: &str) -> Vec<String> {
    let entries = fs::read_dir(folder().join(below)).expect("a golden folder can be listed");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry can be read"))
        .filter(|entry| entry.path().is_file())
        .map(|entry| format!("{below}{}", entry.file_name().display()))
        .collect();
    names.sort();
    names
}

#[test]
fn no_golden_file_is_edited_removed_or_unknown() {
    let mut found: Vec<String> = ["", "notices/", "v1/"].iter().flat_map(|below| names(below)).collect();
    found.sort();
    let known: Vec<&str> = DIGESTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        found, known,
        "add a row to DIGESTS for a new file; a golden file is never removed or renamed"
    );
    for (name, digest) in DIGESTS {
        let now = hex(&Sha256::digest(text(name)));
        assert_eq!(
            now, digest,
            "tests/golden/{name} was edited: restore it, and write a new file for a new version"
        );
    }
}
