//! Keys for the tests of the search: drawn when a test runs, so that no scanner finds one in this tree.

use application::{Ambient, SystemAmbient};
use domain::{Environment, KeyId, PlainSecret, format_key};
use zeroize::Zeroizing;

/// A sound key with this prefix.
pub(super) fn a_key(prefix: &str) -> Zeroizing<String> {
    let ambient = SystemAmbient;
    let secret = PlainSecret::draw(|bytes| ambient.fill(bytes));
    let id = KeyId::from_u128(ambient.draw_ulid());
    let key = format_key(&prefix.parse().expect("tests have sound prefixes"), Environment::Live, id, &secret);
    Zeroizing::new(key.expose().to_owned())
}
