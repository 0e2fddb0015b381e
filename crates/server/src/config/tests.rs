//! Settings: the default file is the defaults, the order of sources, and every refusal names its key.

use super::*;

fn resolved(args: ServeArgs, file: &str) -> Result<ServeConfig, ConfigError> {
    ServeConfig::of(args, parse_file(file).map_err(|reason| ConfigError::Toml { path: "f".into(), reason })?)
}

#[track_caller]
fn refused(args: ServeArgs, file: &str, key: &str, words: &str) {
    let error = resolved(args, file).expect_err("it must be refused").to_string();
    assert!(error.contains(key) && error.contains(words), "{error}");
}

fn args() -> ServeArgs {
    ServeArgs::default()
}

#[test]
fn the_default_file_says_the_defaults() {
    let of_file = resolved(args(), DEFAULT_FILE).unwrap();
    assert_eq!(of_file, resolved(args(), "").unwrap());
    assert_eq!(of_file, ServeConfig::embedded(DEFAULT_DATA));
    assert_eq!(of_file.max_staleness, Duration::from_secs(5));
}

#[test]
fn the_default_file_names_every_setting() {
    let with_all = DEFAULT_FILE
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line));
    let text = with_all.collect::<Vec<_>>().join("\n");
    let file: FileSettings = toml::from_str(&text).expect("the commented settings are real ones");
    let FileSettings { data, listen, log, role, max_staleness, nats_replicas, nats_creds, nats_nkey, .. } =
        &file;
    assert!(data.is_some() && listen.is_some() && log.is_some() && role.is_some() && max_staleness.is_some());
    assert!(nats_replicas.is_some() && nats_creds.is_some() && nats_nkey.is_some());
    let FileSettings { nats_ca, nats_monitor, tls_cert, tls_key, insecure, log_format, log_level, .. } =
        &file;
    assert!(file.leaks_github_keys.is_some() && file.max_feeds.is_some());
    assert!(file.webhooks_retry.is_some() && file.webhooks_allow_private.is_some());
    assert!(nats_ca.is_some() && nats_monitor.is_some() && tls_cert.is_some() && tls_key.is_some());
    assert!(insecure.is_some() && log_format.is_some() && log_level.is_some());
}

#[test]
fn a_flag_goes_before_the_file() {
    let flags = ServeArgs { listen: Some("127.0.0.1:1".into()), ..args() };
    let config = resolved(flags, "listen = '127.0.0.1:2'\nlog_level = 'debug'").unwrap();
    assert_eq!((config.listen.port(), config.log_level.as_str()), (1, "debug"));
}

#[test]
fn each_refusal_names_its_setting_and_the_remedy() {
    refused(args(), "lisen = '127.0.0.1:2'", "line 1", "lisen");
    refused(args(), "\nlisten = 5", "line 2", "expected a string");
    refused(args(), "listen = 'here'", "listen", "127.0.0.1:8750");
    refused(args(), "listen = '0.0.0.0:80'", "listen", "--insecure");
    refused(args(), "role = 'verify'", "role", "--log nats://");
    refused(args(), "role = 'some'", "role", "neither all nor verify");
    refused(args(), "max_staleness = '1s'", "max_staleness", "2s");
    refused(args(), "max_feeds = 0", "max_feeds", "1 to 100000");
    refused(args(), "webhooks_retry = '5'", "webhooks_retry", "1s,5s");
    refused(args(), "webhooks_retry = '1s,2d'", "webhooks_retry", "at most a day");
    refused(args(), "max_staleness = '5'", "max_staleness", "such as 5s");
    refused(args(), "log = 'http://x'", "log", "nats://host:port");
    refused(args(), "nats_replicas = 3", "nats_replicas", "the log is embedded");
    refused(args(), "nats_nkey = 'seed'", "nats_nkey", "the log is embedded");
    refused(args(), "log = 'nats://a:4222'\nnats_nkey = 'a'\nnats_creds = 'b'", "nats_nkey", "two users");
    refused(args(), "log = 'nats://a:4222'\nnats_replicas = 9", "nats_replicas", "1 to 5");
    refused(args(), "tls_cert = 'c.pem'", "tls_key", "private key");
    refused(args(), "leaks_github_keys = 'http://keys.example.com/'", "leaks_github_keys", "https://");
    refused(args(), "leaks_github_keys = ''", "leaks_github_keys", "a file");
    refused(args(), "log_format = 'xml'", "log_format", "json");
    refused(args(), "log_level = 'x=loud'", "log_level", "info");
    let recover = ServeArgs { recover_operator: true, ..args() };
    refused(recover, "role = 'verify'\nlog = 'nats://a:4222'", "recover_operator", "no commands");
}

#[test]
fn no_error_repeats_a_url_that_may_hold_a_password() {
    let error = resolved(args(), "log = 'mats://mailer:hunter2@a'").unwrap_err().to_string();
    let typed = resolved(args(), "log = 'nats://mailer:hunter2@a:4222'\nrole = 7").unwrap_err().to_string();
    assert!(!error.contains("hunter2") && !typed.contains("hunter2"), "{error} {typed}");
    let good = resolved(args(), "log = 'nats://mailer:hunter2@a:4222'").unwrap();
    assert!(!format!("{good:?}").contains("hunter2"));
    let keys = resolved(args(), "leaks_github_keys = 'https://mailer:hunter2@a/keys'").unwrap_err();
    assert!(!keys.to_string().contains("hunter2"));
}

#[test]
fn the_keys_of_scanners_are_in_a_file_or_at_an_address() {
    let place = |text: &str| resolved(args(), &format!("leaks_github_keys = '{text}'")).unwrap();
    let file = |path: &str| Some(KeyListPlace::File(path.into()));
    assert_eq!(
        place("/etc/rescind/github-keys.json").leaks_github_keys,
        file("/etc/rescind/github-keys.json")
    );
    for url in ["https://api.github.com/meta/public_keys/secret_scanning", "http://127.0.0.1:9/keys"] {
        assert_eq!(place(url).leaks_github_keys, Some(KeyListPlace::Url(url.to_owned())));
    }
}

#[test]
fn plain_text_elsewhere_needs_to_be_said() {
    let config = resolved(args(), "listen = '0.0.0.0:80'\ninsecure = true").unwrap();
    assert_eq!(config.listen.port(), 80);
    let tls = "listen = '[::]:443'\ntls_cert = 'c'\ntls_key = 'k'";
    assert!(resolved(args(), tls).unwrap().tls.is_some());
    assert!(resolved(args(), "listen = 'localhost:9'").unwrap().listen.ip().is_loopback());
}
