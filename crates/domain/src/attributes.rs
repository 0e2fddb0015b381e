//! What else a key carries: its owner, labels, networks, and texts about people that may later be sealed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

/// Why a text or a list is not the attribute it was taken for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AttributeError {
    /// Empty, too long, or with a control character.
    #[error("a text is 1 to {max} characters without control characters")]
    Text {
        /// The most characters allowed here.
        max: usize,
    },
    /// Not `name=value`.
    #[error("a label is name=value, each 1 to 64 of A-Z, a-z, 0-9 and ._/-")]
    Label,
    /// Too many labels, or a name twice.
    #[error("a key has at most 32 labels, each name once")]
    Labels,
    /// Not an address block.
    #[error("a network is an address or a block such as 192.0.2.0/24 or 2001:db8::/32")]
    Network,
    /// An address inside a block, where the block itself was asked for: one of the two is a slip.
    #[error("the network {network} has host bits; the block meant is {}, the address {}/{}",
        network.trunc(), network.addr(), network.max_prefix_len())]
    HostBits {
        /// As it was given.
        network: IpNet,
    },
    /// Too many networks.
    #[error("a key has at most 64 networks")]
    Networks,
}

/// Text about a person: plain, or sealed under a key that can be destroyed. The domain never looks inside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Personal {
    /// Readable.
    Plain(PersonalText),
    /// Sealed bytes.
    Sealed(Vec<u8>),
}

impl Personal {
    /// The readable text, if it is not sealed.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text.as_str()),
            Self::Sealed(_) => None,
        }
    }
}

/// A short text without control characters: an owner, a name, a note.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonalText(Box<str>);

impl PersonalText {
    /// Characters in an owner or a name.
    pub const MAX_NAME: usize = 128;
    /// Characters in a note.
    pub const MAX_NOTE: usize = 1024;

    /// An owner's or a thing's name.
    ///
    /// # Errors
    /// [`AttributeError::Text`] when empty, over [`Self::MAX_NAME`] characters, or with a control character.
    pub fn name(text: &str) -> Result<Self, AttributeError> {
        Self::bounded(text, Self::MAX_NAME)
    }

    /// A note.
    ///
    /// # Errors
    /// [`AttributeError::Text`] when empty, over [`Self::MAX_NOTE`] characters, or with a control character.
    pub fn note(text: &str) -> Result<Self, AttributeError> {
        Self::bounded(text, Self::MAX_NOTE)
    }

    fn bounded(text: &str, max: usize) -> Result<Self, AttributeError> {
        let fits = !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.into())) } else { Err(AttributeError::Text { max }) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whom a key belongs to, as the domain knows it: opaque, comparable within a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerTag([u8; 16]);

impl OwnerTag {
    /// The tag's bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Takes the bytes of a tag.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// An owner: the tag that is compared and the text that is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Compared.
    pub tag: OwnerTag,
    /// Shown.
    pub name: Personal,
}

/// One `name=value`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    name: Box<str>,
    value: Box<str>,
}

impl Label {
    const MAX_PART: usize = 64;

    /// Checks both parts.
    ///
    /// # Errors
    /// [`AttributeError::Label`] if either is not 1 to 64 of the alphabet.
    pub fn new(name: &str, value: &str) -> Result<Self, AttributeError> {
        let part = |text: &str| {
            (1..=Self::MAX_PART).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b))
        };
        if part(name) && part(value) {
            Ok(Self { name: name.into(), value: value.into() })
        } else {
            Err(AttributeError::Label)
        }
    }

    /// The part before `=`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part after `=`.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl FromStr for Label {
    type Err = AttributeError;

    fn from_str(text: &str) -> Result<Self, AttributeError> {
        let (name, value) = text.split_once('=').ok_or(AttributeError::Label)?;
        Self::new(name, value)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// A key's labels: sorted by name, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Box<[Label]>);

impl Labels {
    /// The most labels of one key.
    pub const MAX: usize = 32;

    /// Sorts; a name given twice is refused, since nobody could say which value holds.
    ///
    /// # Errors
    /// [`AttributeError::Labels`] for a repeated name or more than [`Self::MAX`].
    pub fn new(mut labels: Vec<Label>) -> Result<Self, AttributeError> {
        labels.sort();
        let repeated = labels.windows(2).any(|pair| pair[0].name == pair[1].name);
        if repeated || labels.len() > Self::MAX {
            Err(AttributeError::Labels)
        } else {
            Ok(Self(labels.into()))
        }
    }

    /// The labels by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Label> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The address blocks that a key may be used from; none means anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Networks(Box<[IpNet]>);

impl Networks {
    /// The most blocks of one key: a bound on the work of one verify.
    pub const MAX: usize = 64;

    /// Reads addresses and blocks. One block has one form, so what is stored reads back as it was.
    ///
    /// # Errors
    /// [`AttributeError::Network`] for the first that is neither, [`AttributeError::HostBits`] for one that names an address
    /// inside the block, [`AttributeError::Networks`] for too many.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, AttributeError> {
        let mut blocks = Vec::new();
        for text in texts {
            let text = text.as_ref();
            let block = text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| AttributeError::Network)?;
            if block != block.trunc() {
                return Err(AttributeError::HostBits { network: block });
            }
            blocks.push(block);
        }
        blocks.sort();
        blocks.dedup();
        if blocks.len() > Self::MAX { Err(AttributeError::Networks) } else { Ok(Self(blocks.into())) }
    }

    /// The blocks in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Whether a key with these networks may be used anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every place of `inner` lies within these. No networks at all means anywhere.
    #[must_use]
    pub fn contain(&self, inner: &Self) -> bool {
        self.is_empty()
            || (!inner.is_empty() && inner.iter().all(|block| self.iter().any(|outer| outer.contains(block))))
    }

    /// Whether a key with these networks may be used from `address`. An IPv4 address written as IPv6 is the same address;
    /// with networks set, an unknown address is outside.
    #[must_use]
    pub fn admit(&self, address: Option<IpAddr>) -> bool {
        self.0.is_empty()
            || address.is_some_and(|address| {
                let address = address.to_canonical();
                self.0.iter().any(|block| block.contains(&address))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_each_name_is_given_once() {
        let label = |text: &str| text.parse::<Label>().unwrap();
        let labels = Labels::new(vec![label("team=lists"), label("service=mailer")]).unwrap();
        assert_eq!(
            labels.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["service=mailer", "team=lists"]
        );
        assert_eq!(Labels::new(vec![label("a=1"), label("a=2")]), Err(AttributeError::Labels));
        for bad in ["", "a", "=", "a=", "=b", "a b=c", "a=b=c", &format!("a={}", "x".repeat(65))] {
            assert_eq!(bad.parse::<Label>(), Err(AttributeError::Label), "{bad}");
        }
    }

    #[test]
    fn networks_admit_what_lies_inside() {
        let networks = Networks::parse(["192.0.2.0/24", "2001:db8::1"]).unwrap();
        let texts: Vec<_> = networks.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["192.0.2.0/24", "2001:db8::1/128"]);
        assert_eq!(Networks::parse(texts), Ok(networks.clone()), "what is stored reads back");
        let admits = |text: &str| networks.admit(Some(text.parse().unwrap()));
        assert!(admits("192.0.2.1") && admits("2001:db8::1") && admits("::ffff:192.0.2.9"));
        assert!(!admits("192.0.3.1") && !admits("2001:db8::2") && !networks.admit(None));
        assert!(Networks::default().admit(None));
        for bad in ["", "x", "1.2.3", "1.2.3.4/33", "1.2.3.4/24/1"] {
            assert_eq!(Networks::parse([bad]), Err(AttributeError::Network), "{bad}");
        }
    }

    #[test]
    fn host_bits_are_named_with_what_may_be_meant() {
        for (given, text) in [
            (
                "192.0.2.77/24",
                "the network 192.0.2.77/24 has host bits; the block meant is 192.0.2.0/24, the address 192.0.2.77/32",
            ),
            (
                "2001:db8::1/32",
                "the network 2001:db8::1/32 has host bits; the block meant is 2001:db8::/32, the address 2001:db8::1/128",
            ),
            (
                "10.0.0.1/0",
                "the network 10.0.0.1/0 has host bits; the block meant is 0.0.0.0/0, the address 10.0.0.1/32",
            ),
        ] {
            let error = Networks::parse(["198.51.100.7", given]).unwrap_err();
            assert_eq!(error, AttributeError::HostBits { network: given.parse().unwrap() });
            assert_eq!(error.to_string(), text);
        }
    }

    /// All sets of up to two blocks among sixteen addresses, against every address.
    #[test]
    fn networks_that_contain_others_admit_all_that_those_admit() {
        let blocks: Vec<String> = (28..=32)
            .flat_map(|len| (0..16).step_by(1 << (32 - len)).map(move |at| format!("192.0.2.{at}/{len}")))
            .collect();
        let mut sets = vec![Networks::default()];
        for (n, one) in blocks.iter().enumerate() {
            sets.extend(blocks[n..].iter().map(|other| Networks::parse([one, other]).unwrap()));
        }
        let admitted = |set: &Networks| {
            let elsewhere = u32::from(set.admit(Some("198.51.100.7".parse().unwrap()))) << 16;
            (0..16_u8)
                .fold(elsewhere, |all, at| all | u32::from(set.admit(Some([192, 0, 2, at].into()))) << at)
        };
        let admitted: Vec<_> = sets.iter().map(admitted).collect();
        for (outer, places) in sets.iter().zip(&admitted) {
            for (inner, wanted) in sets.iter().zip(&admitted) {
                let all_of_them = wanted & !places == 0;
                assert!(!outer.contain(inner) || all_of_them, "{outer:?} {inner:?}");
                // Two blocks side by side hold a larger one that neither holds: that is taken for more.
                let exact = outer.0.len() < 2;
                assert!(!exact || outer.contain(inner) == all_of_them, "{outer:?} {inner:?}");
            }
            assert!(outer.contain(outer) && Networks::default().contain(outer));
        }
    }

    #[test]
    fn networks_of_one_family_contain_none_of_the_other() {
        let parse = |text: &str| Networks::parse([text]).unwrap();
        assert!(!parse("::/0").contain(&parse("192.0.2.0/24")));
        assert!(!parse("0.0.0.0/0").contain(&parse("2001:db8::/32")));
        assert!(!parse("0.0.0.0/0").contain(&Networks::default()), "anywhere is more than all of one family");
    }

    #[test]
    fn a_text_has_no_control_characters() {
        assert!(PersonalText::name("Newsletter sender, München").is_ok());
        for bad in ["", "a\nb", "a\u{1b}[0m", &"x".repeat(129)] {
            assert_eq!(PersonalText::name(bad), Err(AttributeError::Text { max: 128 }));
        }
    }
}
