//! Commands that derive names again, where they come from a log.

use std::fs::{self, File};

use super::Scene;
use crate::common::home::{ended, is_one_sentence};

#[test]
fn a_damaged_database_is_derived_anew_from_the_log() {
    let scene = Scene::new();
    let mut daemon = scene.serve(None);
    scene.wait();
    assert!(daemon.terminate().success());
    let whole = scene.dump();
    let path = scene.home.state().join("names.redb");
    let length = fs::metadata(&path).expect("a database").len();
    let file = File::options().write(true).open(&path).expect("a database");
    file.set_len(length / 2).expect("a shorter file");
    drop(file);
    let verify = |more: &[&str]| ended(&mut scene.command(&[&["chain", "verify"], more].concat()));
    let found = verify(&[]);
    assert_eq!(found.code, 1, "{found:?}");
    let repaired = verify(&["--repair"]);
    assert_eq!(repaired.code, 0, "{repaired:?}");
    assert!(repaired.stdout.starts_with("REPAIRED"), "{repaired:?}");
    assert_eq!(scene.dump(), whole);
}

#[test]
fn a_replay_says_what_to_do_where_there_are_only_logs() {
    let scene = Scene::new();
    let replayed = ended(&mut scene.command(&["chain", "replay"]));
    is_one_sentence(&replayed, 3, &["log", "`bnsd chain verify`"]);
}
