//! The key id on the command line: an id, never a whole key, whose secret would then be in a history file and in an address.

use domain::KeyId;

use crate::failure::Failure;

/// Reads a key id. What was typed is not repeated: it may be a secret.
pub(crate) fn parse(text: &str) -> Result<KeyId, Failure> {
    if let Ok(id) = text.to_ascii_uppercase().parse() {
        return Ok(id);
    }
    match domain::ParsedKey::parse(text) {
        Ok(key) => Err(Failure::usage("that is a whole key with its secret, and a key id is wanted")
            .because("arguments are seen by other users of this machine and kept in the shell's history")
            .remedy(format!(
                "its key id is {}; consider to revoke it as leaked and issue a new one",
                key.key_id
            ))),
        Err(_) => Err(Failure::usage("that is not a key id")
            .because("a key id is 26 letters and digits, such as 01JDA7W5W6M4Q0T3S8V2N9X1YZ")
            .remedy("`rescind key list` shows them")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_in_either_case_and_a_guess_is_not_repeated() {
        assert!(parse("01JDA7W5W6M4Q0T3S8V2N9X1YZ").is_ok());
        assert!(parse("01jda7w5w6m4q0t3s8v2n9x1yz").is_ok());
        let failure = parse("rsk_live_hunter2").unwrap_err();
        assert!(!format!("{failure:?}").contains("hunter2"));
    }
}
