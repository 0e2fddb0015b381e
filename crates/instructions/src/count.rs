//! Has callgrind count one case of this very program.

use std::process::Command;

use crate::cases::Case;

/// The difference of two runs is what the calls between them took: starting and making ready cancel out.
const FEW: u64 = 500;
const MANY: u64 = 2_500;

/// Instructions of one call.
pub(crate) fn per_call(case: &Case) -> Result<u64, String> {
    let few = of_run(case, FEW)?;
    let many = of_run(case, MANY)?;
    let calls = many.checked_sub(few).filter(|calls| *calls > 0);
    calls.map(|calls| calls / (MANY - FEW)).ok_or_else(|| format!("{} took nothing", case.name))
}

fn of_run(case: &Case, times: u64) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["run", case.name, &times.to_string()])
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let said = String::from_utf8_lossy(&run.stderr);
    if !run.status.success() {
        return Err(format!("{} failed under valgrind:\n{said}", case.name));
    }
    collected(&said).ok_or_else(|| format!("valgrind did not say what it collected:\n{said}"))
}

/// From a line such as `==7== Collected : 1234567`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callgrind_says_is_read() {
        let said =
            "==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n==7== I   refs:      1,234,567\n";
        assert_eq!(collected(said), Some(1_234_567));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
