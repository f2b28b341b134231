//! What somebody sees who drops a zone file into a watched folder: it waits until the chain announces its hash, and
//! is served from that block on; a zone file that nobody has is listed as missing until it arrives.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use bnsd::api::explain::ZonefileSource;
use bnsd::api::status::ZonefilesStatus;
use bnsd::hash::ZonefileHash;
use bnsd::wallet::operation::Operation;
use bnsd::wallet::registrar::Registrar;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::common::dns::{query, try_udp};
use crate::common::fault;
use crate::common::home::{Home, ended};
use crate::common::ports::free_address;
use crate::common::process::{Process, status, until};
use crate::common::world::{World, name, zonefile};

const NAME: &str = "anna.id";

fn zonefiles(world: &World) -> ZonefilesStatus {
    status(world.socket()).expect("a status").zonefiles
}

#[test]
fn a_dropped_file_is_served_as_soon_as_its_hash_is_announced() {
    let home = Home::new();
    let folder = home.folder("drop");
    let mut world = World::start(home.path(), std::slice::from_ref(&folder));
    let old = world.archive(&zonefile(NAME, "192.0.2.1"));
    world.publish(&[(NAME, old)]);

    let bytes = zonefile(NAME, "192.0.2.2");
    let (file, hash) = (folder.join("anna.id.zone"), ZonefileHash::of(&bytes));
    fs::write(&file, &bytes).expect("the folder can be written");
    let waiting = until("the file to wait", || zonefiles(&world).waiting.pop());
    assert_eq!(
        (waiting.file, waiting.hash),
        (file.display().to_string(), hash.to_string())
    );
    let socket = world.socket().display().to_string();
    let page = home.run(&["status", "--control-socket", &socket]);
    let line = format!("{} for {hash}", file.display());
    assert!(page.code == 0 && page.stdout.contains(&line), "{page:?}");
    assert!(world.see(NAME, RecordType::A).has_address("192.0.2.1"));

    let key = Registrar::owner(&name(NAME));
    let quoted = world.registrar.consensus_hash();
    let update = Operation::name_update(&name(NAME), key.address(), quoted, hash);
    world.act(&update, &key);
    until("the announced file to be served", || {
        world
            .see(NAME, RecordType::A)
            .has_address("192.0.2.2")
            .then_some(())
    });
    let path = file.display().to_string();
    let explained = world.explain(NAME);
    assert_eq!(
        explained.provenance.zonefile_source,
        Some(ZonefileSource::Folder { path: path.clone() })
    );
    let page = home.run(&["explain", NAME, "--control-socket", &socket]);
    assert!(
        page.stdout
            .contains(&format!("from {path}, its hash is right")),
        "{page:?}"
    );
    until("nothing to wait", || {
        (zonefiles(&world).waiting_count == 0).then_some(())
    });

    // The archive keeps it: the folder is the owner's, who may clear it.
    fs::remove_file(&file).expect("the folder can be written");
    until("the folder to be read", || {
        let source = world.explain(NAME).provenance.zonefile_source;
        (source == Some(ZonefileSource::Archive)).then_some(())
    });
    assert!(world.see(NAME, RecordType::A).has_address("192.0.2.2"));
}

#[test]
fn a_missing_zone_file_is_listed_until_it_arrives() {
    let home = Home::new();
    let folder = home.folder("drop");
    let mut world = World::start(home.path(), std::slice::from_ref(&folder));
    let bytes = zonefile(NAME, "192.0.2.1");
    let hash = ZonefileHash::of(&bytes);
    world.publish(&[(NAME, hash)]);
    let missing = zonefiles(&world).announced;
    assert_eq!((missing.missing_count, missing.present), (1, 0));
    assert_eq!(missing.missing[0].name, name(NAME));
    assert_eq!(missing.missing[0].hash, hash);
    let seen = world.see(NAME, RecordType::A);
    assert_eq!(seen.rcode, ResponseCode::ServFail);
    assert_eq!(
        seen.ede,
        Some((22, format!("bns: no zone file yet for hash {hash}")))
    );

    // Written elsewhere and moved in, as careful programs do.
    let beside = home.path().join("beside");
    fs::write(&beside, &bytes).expect("a file");
    fs::rename(&beside, folder.join("anna")).expect("the folder can be written");
    until("the file to be served", || {
        world
            .see(NAME, RecordType::A)
            .has_address("192.0.2.1")
            .then_some(())
    });
    let found = zonefiles(&world).announced;
    assert_eq!((found.missing_count, found.present), (0, 1));
}

#[test]
fn what_lies_in_the_folder_at_the_start_counts() {
    let home = Home::new();
    let folder = home.folder("drop");
    let bytes = zonefile(NAME, "192.0.2.1");
    fs::write(folder.join("anna.id.zone"), &bytes).expect("the folder can be written");
    let mut world = World::start(home.path(), &[folder]);
    until("the file to wait", || {
        (zonefiles(&world).waiting_count == 1).then_some(())
    });
    world.publish(&[(NAME, ZonefileHash::of(&bytes))]);
    until("the file to be served", || {
        world
            .see(NAME, RecordType::A)
            .has_address("192.0.2.1")
            .then_some(())
    });
}

/// Whatever lies in a folder, other names are answered at once, and what is a zone file is found among it.
#[test]
fn strange_files_hold_up_nothing() {
    let home = Home::new();
    let folder = home.folder("drop");
    for number in 0..20_000 {
        let text = format!("$ORIGIN a{number}.id.\n");
        fs::write(folder.join(number.to_string()), text).expect("a file");
    }
    for (name, target) in [
        ("kernel", "/proc/kmsg"),
        ("zeros", "/dev/zero"),
        ("loop", "loop"),
        ("itself", "."),
    ] {
        symlink(target, folder.join(name)).expect("a link");
    }
    let pipe = folder.join("pipe").display().to_string();
    assert_eq!(ended(&mut home.command("mkfifo", &[&pipe])).code, 0);
    fs::write(home.path().join("elsewhere"), "$ORIGIN b.id.\n").expect("a file");
    symlink(home.path().join("elsewhere"), folder.join("link")).expect("a link");
    let mut daemon = Started::with(&home, &folder, &[]);
    assert!(daemon.after < Duration::from_secs(1), "{:?}", daemon.after);
    println!("the first answer came after {:?}", daemon.after);
    let socket = home.state().join("control.sock");
    until("the zone files to wait", || {
        (status(&socket)?.zonefiles.waiting_count == 20_001).then_some(())
    });
    assert!(daemon.process.terminate().success());
}

/// A file system that does not answer, for example one on a network that is gone.
#[test]
fn a_stuck_read_holds_up_neither_start_nor_stop() {
    let home = Home::new();
    let folder = home.folder("drop");
    fs::write(folder.join("a"), "$ORIGIN a.id.\n").expect("a file");
    let library = fault::library(&home).display().to_string();
    let environment = [("LD_PRELOAD", &*library), ("FAULT_STUCK", "folders")];
    let mut daemon = Started::with(&home, &folder, &environment);
    assert!(daemon.after < Duration::from_secs(1), "{:?}", daemon.after);
    daemon.process.ready(&home.state().join("control.sock"));
    let start = Instant::now();
    assert!(daemon.process.terminate().success());
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

/// A `bnsd serve` with a watched folder.
struct Started {
    process: Process,
    /// From its start to its first answer.
    after: Duration,
}

impl Started {
    fn with(home: &Home, folder: &Path, environment: &[(&str, &str)]) -> Self {
        let address = free_address();
        let mut command = home.bnsd(&["serve", "--listen", &address.to_string()]);
        command
            .env("BNSD_ZONEFILES_FOLDERS", folder)
            .envs(environment.iter().copied());
        let (start, process) = (Instant::now(), Process::start(home, command));
        let question = query("localhost", RecordType::A);
        until("the first answer", || {
            try_udp(address, &question, Duration::from_millis(20)).ok()
        });
        Self {
            process,
            after: start.elapsed(),
        }
    }
}
