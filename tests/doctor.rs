//! `bnsd doctor`: a test breaks a thing, runs the command that is printed for it, and the finding is gone.

use crate::system::stub::on_a_machine_with;

/// What only the daemon sees.
mod chain;

/// Runs a scene of `doctor/scenes.sh` on a machine of its own.
fn scene(name: &str) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doctor/scenes.sh");
    on_a_machine_with(name, Some(file));
}

#[test]
fn what_is_sent_to_bnsd_and_what_becomes_of_it_on_the_way() {
    scene("doctor_route");
}

#[test]
fn a_validator_in_between_gets_its_exceptions() {
    scene("doctor_unbound");
}

#[test]
fn the_port_the_process_and_its_upstreams() {
    scene("doctor_daemon");
}

#[test]
fn an_upstream_that_leads_back() {
    scene("doctor_circle");
}

#[test]
fn disk_rights_and_configuration() {
    scene("doctor_files");
}

#[test]
fn a_clock_that_is_behind_the_chain() {
    scene("doctor_clock");
}

#[test]
fn browsers_that_ask_somebody_else() {
    scene("doctor_browsers");
}

#[test]
fn no_source_and_no_node() {
    scene("doctor_chain");
}
