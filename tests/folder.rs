//! What somebody sees who drops a zone file into a watched folder: it waits until the chain announces its hash, and
//! is served from that block on; a zone file that nobody has is listed as missing until it arrives.

use std::fs;

use bnsd::api::explain::ZonefileSource;
use bnsd::api::status::ZonefilesStatus;
use bnsd::hash::ZonefileHash;
use bnsd::wallet::operation::Operation;
use bnsd::wallet::registrar::Registrar;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::common::home::Home;
use crate::common::process::{status, until};
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
    assert_eq!(zonefiles(&world).waiting_count, 1);
    world.publish(&[(NAME, ZonefileHash::of(&bytes))]);
    until("the file to be served", || {
        world
            .see(NAME, RecordType::A)
            .has_address("192.0.2.1")
            .then_some(())
    });
}
