//! The OpenAPI document holds: a tool that is not ours makes requests from it, good and bad, and compares what comes back.

use super::demo;
use crate::common::home::ended;

/// Good requests for each endpoint and phase; as many bad ones come on top.
const EXAMPLES: &str = "15";

#[test]
fn schemathesis_finds_no_violation() {
    let (demo, address) = demo();
    let own_home = std::env::var_os("HOME").unwrap_or_default();
    let url = format!("http://{address}/openapi.json");
    let arguments = [
        "run",
        &url,
        "--checks=all",
        // Names, addresses and hashes are refused for what no schema says: checksums, the network, a namespace.
        "--exclude-checks=positive_data_acceptance",
        "--max-examples",
        EXAMPLES,
        "--seed=1",
        "--no-color",
        "--suppress-health-check=all",
        "--generation-database=none",
    ];
    let mut command = demo.home.command("schemathesis", &arguments);
    // It leaves a cache where it runs.
    command.env("HOME", own_home).current_dir(demo.home.path());
    let checked = ended(&mut command);
    assert_eq!(checked.code, 0, "{}\n{}", checked.stdout, checked.stderr);
}
