//! Webhook secrets and signatures, as Standard Webhooks 1.0 has them: `whsec_`, HMAC-SHA-256, `v1,`.

use std::fmt;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serializer};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What a webhook's deliveries are signed with. Kept as it is in the record, since a signature cannot be made from a digest.
pub(crate) struct WebhookSecret(Zeroizing<[u8; WebhookSecret::LEN]>);

impl WebhookSecret {
    /// Within the 24 to 64 bytes that the specification asks for, and as many as the hash gives.
    const LEN: usize = 32;
    const PREFIX: &'static str = "whsec_";

    pub(crate) fn draw(fill: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        fill(bytes.as_mut());
        Self(bytes)
    }

    /// As its receiver needs it: shown in the answer that creates it, kept in the record, and nowhere else.
    pub(crate) fn expose(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(Base64::encode_string(self.0.as_ref()));
        Zeroizing::new(format!("{}{}", Self::PREFIX, encoded.as_str()))
    }

    fn read(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        let read = Base64::decode(text.strip_prefix(Self::PREFIX)?, bytes.as_mut()).ok()?.len();
        (read == Self::LEN).then_some(Self(bytes))
    }

    /// One entry of the header `webhook-signature`.
    pub(crate) fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_ref()).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", Base64::encode_string(&mac.finalize().into_bytes()))
    }
}

impl Clone for WebhookSecret {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

/// For the record's rows alone: whoever wants it elsewhere has to say `expose`.
pub(super) fn to_row<S: Serializer>(secret: &WebhookSecret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&secret.expose())
}

pub(super) fn from_row<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WebhookSecret, D::Error> {
    let text = Zeroizing::new(String::deserialize(deserializer)?);
    WebhookSecret::read(&text).ok_or_else(|| serde::de::Error::custom("a secret is not one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the specification's own libraries; their secret is 24 bytes long.
    #[test]
    fn the_signature_is_the_one_of_the_reference_vector() {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&Base64::decode_vec("C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap())
                .unwrap();
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        mac.update(format!("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk.1649367553.{body}").as_bytes());
        let signature = Base64::encode_string(&mac.finalize().into_bytes());
        assert_eq!(signature, "tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
        let ours = WebhookSecret::draw(|bytes| bytes.fill(7));
        let again = WebhookSecret::read(&ours.expose()).unwrap();
        assert_eq!(ours.sign("id", 1, body), again.sign("id", 1, body));
        assert_ne!(ours.sign("id", 1, body), ours.sign("id", 2, body));
        assert!(ours.sign("id", 1, body).starts_with("v1,"));
    }

    #[test]
    fn only_a_whole_secret_reads() {
        for bad in ["", "whsec_", "whsec_AAAA", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_!"] {
            assert!(WebhookSecret::read(bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{:?}", WebhookSecret::draw(|bytes| bytes.fill(7))), "WebhookSecret");
    }
}
