//! How long the first answer about a name takes, which waits until its certificate is where browsers look.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;

use super::machine::{ADDRESS, NAME, on_a_machine};
use super::site::Keys;
use crate::common::browser::Browser;
use crate::common::dns::see;

/// Names that are asked for the first time.
const NAMES: usize = 200;
/// Time between two questions: a daemon makes 100 certificates a second, and lets answers leave without one beyond that.
const PACE: Duration = Duration::from_millis(25);
/// What 99 of a hundred first answers may take on a machine that does nothing else.
const GOAL: Duration = Duration::from_millis(50);

#[test]
fn first_answers_leave_soon_though_certificates_are_put_in_place_before() {
    on_a_machine(|machine| {
        Keys::make(machine, NAME, "own").publish(machine);
        let owner = machine.owner();
        let folder = machine.folder("zones");
        for number in 0..NAMES {
            let name = format!("house-{number}.helloworld");
            let keys = Keys::make(machine, &name, &name);
            let zone = format!("{name}.zone");
            fs::copy(keys.file(&zone), folder.join(&zone)).unwrap();
        }
        owner.does(&["namespace", "preorder", "helloworld"]);
        owner.does(&["namespace", "reveal", "helloworld", "--coeff", "4"]);
        let folder = folder.display().to_string();
        owner.does(&["namespace", "import", "helloworld", &folder]);
        owner.does(&["namespace", "ready", "helloworld"]);
        // Its database is the one in which certificates are put.
        drop(Browser::start_as(|program, words| {
            machine.as_person(program, words)
        }));
        let _agents = machine.trust();

        let server = SocketAddr::from(([127, 0, 0, 1], 53));
        let first = |number: usize| {
            std::thread::sleep(PACE);
            let start = Instant::now();
            let seen = see(server, &format!("house-{number}.helloworld"), RecordType::A);
            let elapsed = start.elapsed();
            assert!(seen.has_address(ADDRESS), "{seen:?}");
            elapsed
        };
        let mut times: Vec<Duration> = (0..NAMES).map(first).collect();
        times.sort();
        let [half, most] = [50, 99].map(|percent| times[NAMES * percent / 100]);
        println!("first answers: p50 {half:.2?}, p99 {most:.2?}, the goal is {GOAL:?}");
        assert!(most < GOAL * 10, "{most:?}");
        let database = format!("sql:{}/.pki/nssdb", super::machine::PERSON.2);
        let listed = machine.does_as_person("certutil -L -d \"$1\"", &[&database]);
        let there = listed.matches("bnsd authority of house-").count();
        assert_eq!(there, NAMES, "{listed}");
    });
}
