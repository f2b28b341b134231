//! Runs a script that sees our answers with dnspython, a DNS implementation that is not ours.

use std::path::Path;

use super::home::{Ended, Home, ended};

/// Runs `script` of this directory to its end.
pub fn run(home: &Home, script: &str, arguments: &[&str]) -> Ended {
    // pyenv and virtual environments find their files from the user's own home.
    let own_home = std::env::var_os("HOME").unwrap_or_default();
    let found = ended(
        home.command("python3", &["-c", "import dns"])
            .env("HOME", &own_home),
    );
    assert!(
        found.code == 0,
        "python3 needs dnspython: `pip install dnspython`, or the Debian package python3-dnspython ({})",
        found.stderr
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/common")
        .join(script);
    let path = path.display().to_string();
    let arguments = [&[path.as_str()], arguments].concat();
    ended(home.command("python3", &arguments).env("HOME", own_home))
}
