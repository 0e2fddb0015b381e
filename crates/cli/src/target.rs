//! Finds the server and the operator key, and remembers where each came from, so that errors can say it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::screen;

/// Where `rescind serve` listens unless told otherwise; a test holds it to the server's own default.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8750";
/// Where `rescind serve` writes the first operator's key unless told otherwise.
pub(crate) const DEFAULT_KEY_FILE: &str = "rescind-data/operator.key";
/// Longest key file that is read: a key is at most 86 characters, and a wrong file should not fill memory.
const MAX_KEY_FILE: u64 = 4096;

/// Which server to ask, and as whom.
#[derive(Args, Debug)]
pub(crate) struct Connection {
    /// The server [env: RESCIND_URL] [default: http://127.0.0.1:8750]
    #[arg(long, value_name = "URL", help_heading = "Server")]
    url: Option<String>,
    /// A file with the operator key alone [env: RESCIND_KEY holds the key itself] [default: ./rescind-data/operator.key]
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    key_file: Option<PathBuf>,
    /// A PEM file of certificates to trust, for a server with one of your own making
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    ca: Option<PathBuf>,
}

/// The operator's key. Wiped on drop, prints as its type name.
pub(crate) struct OperatorKey(Zeroizing<String>);

impl OperatorKey {
    /// Takes what was found in a file or variable.
    pub(crate) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.trim().to_owned()))
    }

    /// For the `Authorization` header alone.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorKey")
    }
}

/// Where to send requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// Without a slash at the end.
    pub(crate) text: String,
    /// Which flag, variable or default it comes from.
    pub(crate) origin: &'static str,
}

/// A key and where it was found.
#[derive(Debug)]
pub(crate) struct FoundKey {
    pub(crate) key: OperatorKey,
    pub(crate) origin: String,
    /// The file, if it was one.
    pub(crate) file: Option<PathBuf>,
}

impl Connection {
    /// The server's address.
    pub(crate) fn url(&self) -> Result<Url, Failure> {
        let (text, origin) = match (&self.url, environment::variable(environment::URL)) {
            (Some(flag), _) => (flag.clone(), "--url"),
            (None, Some(set)) => (set, environment::URL),
            (None, None) => (DEFAULT_URL.to_owned(), "the default"),
        };
        parse_url(&text, origin)
    }

    /// The operator key: the flag's file, else the variable, else the default file.
    pub(crate) fn key(&self) -> Result<FoundKey, Failure> {
        if let Some(path) = &self.key_file {
            return read_key(path, format!("--key-file {}", path.display()));
        }
        if let Some(set) = environment::variable(environment::KEY) {
            let key = OperatorKey::new(&set);
            return Ok(FoundKey { key, origin: environment::KEY.to_owned(), file: None });
        }
        let path = Path::new(DEFAULT_KEY_FILE);
        if path.exists() {
            return read_key(path, format!("./{DEFAULT_KEY_FILE}"));
        }
        Err(Failure::new(Exit::Auth, "no_operator_key", "no operator key was found")
            .because(format!(
                "looked at --key-file (not given), {} (not set) and ./{DEFAULT_KEY_FILE} (not there)",
                environment::KEY
            ))
            .remedy("run this where `rescind serve` was started, or pass --key-file DIR/operator.key")
            .remedy("no server yet? `rescind serve` makes one, with its first operator key"))
    }

    /// The certificates to trust beside the well-known ones.
    pub(crate) const fn ca(&self) -> Option<&PathBuf> {
        self.ca.as_ref()
    }
}

fn parse_url(text: &str, origin: &'static str) -> Result<Url, Failure> {
    let refuse = |why: &str| {
        Err(Failure::usage(format!("the address from {origin} is not usable"))
            .because(why.to_owned())
            .remedy("an address looks like http://127.0.0.1:8750 or https://keys.example.com"))
    };
    let text = text.trim().trim_end_matches('/');
    let Some((scheme, rest)) = text.split_once("://") else { return refuse("it has no http:// or https://") };
    let authority = rest.split('/').next().unwrap_or_default();
    if !matches!(scheme, "http" | "https") {
        return refuse("it is neither http nor https");
    }
    // A password in an address would end in logs and error messages.
    if authority.contains('@') {
        return refuse("it carries a user name; keys go into a file or RESCIND_KEY");
    }
    if authority.is_empty() || text.contains(|c: char| c.is_control() || matches!(c, ' ' | '?' | '#')) {
        return refuse("it names no host, or has characters that an address cannot have");
    }
    if scheme == "http" && !is_loopback(host_of(authority)) {
        screen::say(
            "warning: plain http to another machine shows the operator key to the network; use https",
        );
    }
    Ok(Url { text: text.to_owned(), origin })
}

fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Url {
    /// Whether it is this machine: no proxy stands between.
    pub(crate) fn is_loopback(&self) -> bool {
        let rest = self.text.split_once("://").map_or("", |(_, rest)| rest);
        is_loopback(host_of(rest.split('/').next().unwrap_or_default()))
    }
}

/// The key that a file holds alone.
pub(crate) fn key_in_file(path: &Path) -> Result<FoundKey, Failure> {
    read_key(path, path.display().to_string())
}

fn read_key(path: &Path, origin: String) -> Result<FoundKey, Failure> {
    let unreadable = |error: io::Error| {
        Failure::new(
            Exit::Auth,
            "operator_key_unreadable",
            format!("cannot read the operator key from {origin}"),
        )
        .because(error.to_string())
        .remedy("check the path, and that this user may read the file")
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(unreadable)?;
    let key = OperatorKey::new(&text);
    // Nothing else may go into a header, and a file of several lines is not the key file.
    if key.expose().is_empty() || !key.expose().bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::new(
            Exit::Auth,
            "operator_key_malformed",
            format!("{origin} does not hold a key alone"),
        )
        .remedy("the file has the key on its first line and nothing else"));
    }
    Ok(FoundKey { key, origin, file: Some(path.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_a_server() {
        for (given, kept) in [
            ("http://127.0.0.1:8750/", "http://127.0.0.1:8750"),
            ("https://keys.example.com/rescind", "https://keys.example.com/rescind"),
            ("http://[::1]:80", "http://[::1]:80"),
        ] {
            assert_eq!(parse_url(given, "--url").unwrap().text, kept);
        }
        for bad in
            ["", "127.0.0.1:8750", "ftp://x", "http://", "http://a b", "https://me:pw@x", "http://x?y=1"]
        {
            assert_eq!(parse_url(bad, "--url").unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }

    #[test]
    fn the_defaults_are_the_servers() {
        assert_eq!(DEFAULT_URL, format!("http://{}", server::config::DEFAULT_LISTEN));
        assert_eq!(
            Path::new(DEFAULT_KEY_FILE).parent(),
            Path::new(server::config::DEFAULT_DATA).strip_prefix(".").ok()
        );
        let mut connection = crate::command();
        connection.build();
        let help = connection.find_subcommand_mut("doctor").unwrap().render_long_help().to_string();
        assert!(help.contains(DEFAULT_URL) && help.contains(DEFAULT_KEY_FILE), "{help}");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (given, loopback) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("https://127.0.0.1.example.com", false),
            ("https://10.0.0.1:1", false),
        ] {
            assert_eq!(parse_url(given, "--url").unwrap().is_loopback(), loopback, "{given}");
        }
    }

    #[test]
    fn a_key_file_holds_a_key_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("operator.key");
        for (content, good) in
            [("rsk_live_abc\n", true), ("", false), ("one\ntwo\n", false), ("a\u{e4}", false)]
        {
            std::fs::write(&path, content).unwrap();
            let found = read_key(&path, "here".to_owned());
            assert_eq!(found.is_ok(), good, "{content:?}");
        }
        assert_eq!(format!("{:?}", OperatorKey::new("rsk_live_abc")), "OperatorKey");
    }
}
