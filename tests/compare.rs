//! The comparison's own arithmetic, texts and refusals; its tests are written in the language of its script. The
//! comparison itself takes an idle machine and is run by hand.

use std::path::Path;
use std::process::Command;

#[test]
fn the_comparison_reads_counts_and_reports_rightly() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/benches/compare/test_parts.py");
    let ran = Command::new("python3").arg(tests).output();
    let ran = ran.expect("python3 is missing: install the package python3");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
}
