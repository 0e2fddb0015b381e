//! Compiles the messages of `proto/` in Rust alone: no protoc on the machine.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo runs this in the crate's folder. A path that was fixed when this was compiled would be another checkout's
    // where two share a target folder.
    let root = Path::new("../../proto");
    let files = ["rescind/v1/event.proto", "rescind/v1/usage.proto"].map(|file| root.join(file));
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let descriptors = protox::compile(&files, [root])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
