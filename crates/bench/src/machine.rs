//! Where and with what it was measured, without the machine's name.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::nats;
use crate::rush::Failure;
use crate::settings::Nats;

/// Processor, memory, system, versions and commit.
pub(crate) fn describe(nats: &Nats) -> Value {
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory_kib: Option<u64> = read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    json!({
        "processor": model.map(|(_, model)| model.trim()),
        "cores": std::thread::available_parallelism().map(usize::from).ok(),
        "memory_gib": memory_kib.map(|kib| (kib + (1 << 19)) >> 20),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "rescind": env!("CARGO_PKG_VERSION"),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "nats": if let Nats::Binary(binary) = nats { nats::version(binary) } else { None },
        "commit": said(Command::new("git").args(["rev-parse", "--short", "HEAD"])),
    })
}

/// How many want a core, over the last minute: figures of a busy machine compare with nothing but each other.
pub(crate) fn load() -> Option<f64> {
    read("/proc/loadavg").split(' ').next()?.parse().ok()
}

/// Tells one build from another.
pub(crate) fn build_of(program: &Path) -> Result<String, Failure> {
    let digest = Sha256::digest(std::fs::read(program)?);
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
