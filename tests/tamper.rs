//! What somebody sees whose zone files were changed on disk, by accident or by an attacker: never a changed answer.
//! The answer is SERVFAIL with the reason and the hash (RFC 8914: 24 if the bytes are others, 22 if there are none),
//! until the right file is back. "The file" is its record in a segment of the archive, or a file of its own as earlier
//! versions had it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use bnsd::api::explain::ZonefileSource;
use bnsd::hash::ZonefileHash;
use bnsd::names::REREAD_AFTER;
use bnsd::zonefile::{Compiled, ZONEFILE_MAX, parse_own};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::common::form::form;
use crate::common::home::Home;
use crate::common::process::{status, until};
use crate::common::random::Random;
use crate::common::segments::{self, Record};
use crate::common::world::{World, zonefile};

const NAME: &str = "anna.id";
/// INFO-CODEs of RFC 8914.
const NO_REACHABLE_AUTHORITY: u16 = 22;
const INVALID_DATA: u16 = 24;
/// A bit flip hits every byte in the release build, every fifth in the slower one.
const STEP: usize = if cfg!(debug_assertions) { 5 } else { 1 };

/// A registered name and its zone file.
struct Victim {
    world: World,
    bytes: Vec<u8>,
    hash: ZonefileHash,
    /// The archive that keeps it, and its record there.
    archive: PathBuf,
    kept: Record,
}

impl Victim {
    fn register(directory: &Path, folders: &[PathBuf]) -> Self {
        let mut world = World::start(directory, folders);
        let bytes = zonefile(NAME, "192.0.2.1");
        let hash = world.archive(&bytes);
        world.publish(&[(NAME, hash)]);
        let archive = world.zonefiles();
        let victim = Self {
            kept: segments::find(&archive, &hash.0).expect("a record"),
            archive,
            world,
            bytes,
            hash,
        };
        victim.is_served();
        victim
    }

    fn is_served(&self) {
        for name in [NAME, "www.anna.id", "anna.id.bns.alt"] {
            let seen = self.world.see(name, RecordType::A);
            assert!(seen.has_address("192.0.2.1"), "{name}: {seen:?}");
        }
    }

    /// Not one record comes back, at the name or below it; `text` says what happened to which hash.
    fn is_refused(&self, code: u16, text: &str, what: &str) {
        self.world.forget_answers();
        for name in [NAME, "www.anna.id", "nosuch.anna.id", "anna.id.bns.alt"] {
            let seen = self.world.see(name, RecordType::A);
            assert_eq!(
                seen.rcode,
                ResponseCode::ServFail,
                "{what}, {name}: {seen:?}"
            );
            assert!(
                seen.answers.is_empty() && seen.authorities.is_empty(),
                "{what}: {seen:?}"
            );
            let expected = (code, format!("bns: {text} {}", self.hash));
            assert_eq!(seen.ede, Some(expected), "{what}, {name}");
        }
    }

    fn is_tampered(&self, what: &str) {
        self.is_refused(INVALID_DATA, "zone file hash mismatch", what);
    }

    fn is_missing(&self, what: &str) {
        self.is_refused(NO_REACHABLE_AUTHORITY, "no zone file yet for hash", what);
    }

    /// Puts other bytes into its record.
    fn change(&self, bytes: &[u8]) {
        segments::rewrite(&self.archive, &self.hash.0, bytes);
    }

    fn record(&self) -> Record {
        segments::find(&self.archive, &self.hash.0).expect("a record")
    }

    /// Whether the archive has the right bytes.
    fn is_whole(&self) -> bool {
        segments::holds(&self.archive, &self.hash.0, &self.bytes)
    }

    /// Waits until the archive has the right bytes again, and serves them: they are on the disk a moment before they are synced,
    /// and count from then on.
    fn is_mended(&self) {
        until("the archive to be mended", || self.is_whole().then_some(()));
        until("the names to be served", || {
            let names = [NAME, "www.anna.id", "anna.id.bns.alt"];
            let seen = names.map(|name| self.world.see(name, RecordType::A));
            let is_right = seen.iter().all(|seen| seen.has_address("192.0.2.1"));
            is_right.then_some(())
        });
    }

    fn restore(&self) {
        segments::put_back(&self.archive, &self.kept);
        self.is_served();
    }
}

/// The ways in which files change, apart from bit flips.
fn changes(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |parts: &[&[u8]]| parts.concat();
    let text = String::from_utf8_lossy(bytes);
    vec![
        ("one byte less", bytes[..bytes.len() - 1].to_vec()),
        ("half of it", bytes[..bytes.len() / 2].to_vec()),
        ("its first byte", bytes[..1].to_vec()),
        ("a line more", with(&[bytes, b"evil A 192.0.2.66\n"])),
        ("twice", with(&[bytes, bytes])),
        ("an empty line more", with(&[bytes, b"\n"])),
        ("CRLF", text.replace('\n', "\r\n").into_bytes()),
        ("a byte order mark", with(&[b"\xef\xbb\xbf", bytes])),
        ("a zero at the end", with(&[bytes, b"\0"])),
        (
            "another address",
            text.replace("192.0.2.1", "192.0.2.6").into_bytes(),
        ),
        ("zeros", vec![0; bytes.len()]),
        (
            "too large",
            with(&[bytes, &vec![b'\n'; ZONEFILE_MAX + 1 - bytes.len()]]),
        ),
        (
            "far too large",
            with(&[bytes, &vec![b';'; 10 * ZONEFILE_MAX]]),
        ),
    ]
}

/// In the zone file and in what stands around it.
#[test]
fn a_flipped_bit_is_never_served() {
    let home = Home::new();
    let victim = Victim::register(home.path(), &[]);
    let record = victim.record();
    for position in (0..record.size()).step_by(STEP) {
        segments::flip(&record, position);
        if position < segments::HEAD + record.bytes.len() {
            victim.is_tampered(&format!("byte {position}"));
        } else {
            victim.is_served(); // without its compiled form
        }
        segments::flip(&record, position);
    }
    victim.is_served();
}

/// Whoever writes the file on purpose can give a record a compiled form that is well made and wrong. It does not last: what looks
/// after the archive compiles the zone file again.
#[test]
fn a_forged_form_is_replaced() {
    let home = Home::new();
    let victim = Victim::register(home.path(), &[]);
    let record = victim.record();
    let zone = parse_own(&zonefile(NAME, "192.0.2.6")).expect("a zone");
    let forged = Compiled::of(&zone).expect("a small zone");
    let forged = forged.as_bytes(); // as long as the right one, or the record would be none
    assert_eq!(forged.len(), record.compiled.len());
    for (form, version) in [(forged, record.version), (forged, record.version + 1)] {
        let found = victim.record();
        assert_eq!(found.compiled, record.compiled);
        segments::put_compiled(&found, form, version);
        victim.world.forget_answers();
        victim.world.see(NAME, RecordType::A); // whatever it says now may be kept
        until("the form to be replaced", || {
            let found = victim.record();
            let is_right = found.compiled == record.compiled && found.version == record.version;
            is_right.then_some(())
        });
        thread::sleep(REREAD_AFTER);
        victim.is_served();
    }
}

/// What a crash or a full disk leaves of it.
#[test]
fn a_cut_record_is_never_served() {
    let home = Home::new();
    let mut victim = Victim::register(home.path(), &[]);
    let record = victim.record();
    let segment = fs::read(&record.path).expect("readable");
    for length in (record.at + 1..record.at + record.size()).step_by(STEP) {
        fs::write(&record.path, &segment[..length]).expect("the archive can be written");
        if length < record.at + segments::HEAD + record.bytes.len() {
            victim.is_tampered(&format!("{length} bytes"));
        } else {
            victim.is_served(); // without its compiled form
        }
    }
    fs::write(&record.path, &segment[..record.at]).expect("the archive can be written");
    victim.is_missing("cut before it");
    fs::write(&record.path, &segment[..record.at + 60]).expect("the archive can be written");
    victim.world.stop_daemon();
    victim.world.start_daemon();
    victim.is_missing("cut, and started again");
    victim.world.archive(&victim.bytes);
    victim.is_served();
}

/// Records of two names in each other's place, and a copy of one over the other.
#[test]
fn a_record_of_another_name_is_never_served() {
    let home = Home::new();
    let mut victim = Victim::register(home.path(), &[]);
    let other = victim.world.archive(&zonefile("bert.id", "192.0.2.6"));
    victim.world.publish(&[("bert.id", other)]);
    let record = victim.record();
    let other = segments::find(&victim.archive, &other.0).expect("a record");
    assert_eq!((record.size(), &record.path), (other.size(), &other.path));
    let whole = fs::read(&record.path).expect("readable");
    let [first, second] = [&record, &other].map(|it| it.at..it.at + it.size());
    let mut swapped = whole.clone();
    swapped[first.clone()].copy_from_slice(&whole[second.clone()]);
    let mut copied = swapped.clone();
    copied[second.clone()].copy_from_slice(&whole[second.clone()]);
    swapped[second].copy_from_slice(&whole[first]);
    for (what, bytes) in [("swapped", &swapped), ("copied", &copied)] {
        fs::write(&record.path, bytes).expect("the archive can be written");
        victim.is_tampered(what);
        let seen = victim.world.see("bert.id", RecordType::A);
        assert!(
            seen.answers.is_empty() || seen.has_address("192.0.2.6"),
            "{what}: {seen:?}"
        );
        fs::write(&record.path, &whole).expect("the archive can be written");
        victim.is_served();
    }
    fs::write(&record.path, &swapped).expect("the archive can be written");
    victim.world.stop_daemon();
    victim.world.start_daemon();
    victim.is_served(); // each is found where it is now
    let seen = victim.world.see("bert.id", RecordType::A);
    assert!(seen.has_address("192.0.2.6"), "{seen:?}");
}

/// A file of its own is read like a record, and moved into a segment only if it is right.
#[test]
fn a_file_of_the_earlier_form_is_never_served_wrong() {
    let home = Home::new();
    let mut victim = Victim::register(home.path(), &[]);
    victim.world.stop_daemon();
    fs::remove_dir_all(victim.archive.join("segments")).expect("it is there");
    let hash = victim.hash.to_string();
    let folder = victim.archive.join(&hash[..2]).join(&hash[2..4]);
    let file = folder.join(format!("{hash}.txt"));
    fs::create_dir_all(&folder).expect("the archive can be written");
    fs::write(&file, zonefile(NAME, "192.0.2.6")).expect("the archive can be written");
    victim.world.start_daemon();
    for (what, bytes) in changes(&victim.bytes) {
        fs::write(&file, bytes).expect("the archive can be written");
        victim.is_tampered(what);
    }
    fs::write(&file, b"").expect("the archive can be written");
    victim.is_missing("empty");
    fs::write(&file, &victim.bytes).expect("the archive can be written");
    victim.is_served();
    victim.world.stop_daemon();
    victim.world.start_daemon();
    until("the file to be moved", || {
        (victim.is_whole() && !folder.exists()).then_some(())
    });
    victim.is_served();
}

#[test]
fn changed_files_are_never_served() {
    let home = Home::new();
    let victim = Victim::register(home.path(), &[]);
    for (what, bytes) in changes(&victim.bytes) {
        victim.change(&bytes);
        victim.is_tampered(what);
        let explained = victim.world.explain(NAME);
        assert_eq!(
            explained.provenance.zonefile_source,
            Some(ZonefileSource::Tampered),
            "{what}"
        );
        assert_eq!(
            explained.provenance.registration.zonefile_hash,
            Some(victim.hash)
        );
        victim.restore();
    }
}

/// How many files are changed at random; more with `BNSD_TEST_FORM=release`.
fn changed_at_random() -> usize {
    form(500, 100_000)
}

#[test]
fn files_changed_at_random_are_never_served() {
    let home = Home::new();
    let victim = Victim::register(home.path(), &[]);
    let mut random = Random::new(15);
    let text = format!("bns: zone file hash mismatch {}", victim.hash);
    for number in 0..changed_at_random() {
        let mut bytes = victim.bytes.clone();
        for _ in 0..=random.below(3) {
            change(&mut bytes, &mut random);
        }
        if bytes == victim.bytes || bytes.is_empty() {
            continue;
        }
        victim.change(&bytes);
        if number % 100 == 0 {
            victim.world.forget_answers(); // the way from nothing too
        }
        let seen = victim.world.see(NAME, RecordType::A);
        let refused = (seen.rcode, seen.ede.clone());
        let expected = (ResponseCode::ServFail, Some((INVALID_DATA, text.clone())));
        assert_eq!(refused, expected, "{number}: {bytes:?}");
    }
    victim.restore();
}

/// Flips, removes, repeats or inserts bytes somewhere.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let place = random.below(bytes.len() + 1);
    let end = (place + random.below(40)).min(bytes.len());
    match random.below(4) {
        0 => bytes[place..end]
            .iter_mut()
            .for_each(|byte| *byte ^= 1 << random.below(8)),
        1 => drop(bytes.drain(place..end)),
        2 => bytes.extend_from_within(place..end),
        _ => bytes.insert(place, random.below(256) as u8),
    }
}

#[test]
fn an_absent_or_empty_file_is_said_to_be_missing() {
    let home = Home::new();
    let victim = Victim::register(home.path(), &[]);
    victim.change(b"");
    victim.is_missing("cut out");
    let explained = victim.world.explain(NAME);
    assert_eq!(
        explained.provenance.zonefile_source,
        Some(ZonefileSource::Missing)
    );
    let status = status(victim.world.socket()).expect("a status");
    assert_eq!(
        (
            status.zonefiles.announced.present,
            status.zonefiles.announced.missing_count
        ),
        (0, 1)
    );
    assert_eq!(status.zonefiles.announced.missing[0].name.as_str(), NAME);
    victim.restore();
}

/// The same at the start: what lies in the archive is not believed because it was there before.
#[test]
fn files_changed_while_the_daemon_was_down_are_never_served() {
    let home = Home::new();
    let mut victim = Victim::register(home.path(), &[]);
    let mut flipped = victim.bytes.clone();
    flipped[20] ^= 1;
    let mut changes = changes(&victim.bytes);
    changes.retain(|(_, bytes)| bytes.len() <= ZONEFILE_MAX); // no record has more
    let kinds = [("a flipped bit", flipped)]
        .into_iter()
        .chain(changes.into_iter().step_by(3));
    for (what, bytes) in kinds {
        victim.world.stop_daemon();
        victim.change(&bytes);
        victim.world.start_daemon();
        victim.is_tampered(what);
    }
    victim.restore();
}

/// What was served before is not served for ever: files are looked at again.
#[test]
fn a_change_is_noticed_while_its_name_is_asked_for() {
    let home = Home::new();
    let victim = Victim::register(home.path(), &[]);
    victim.change(&zonefile(NAME, "192.0.2.66"));
    until("the change to be noticed", || {
        let seen = victim.world.see(NAME, RecordType::A);
        assert!(seen.answers.is_empty() || seen.has_address("192.0.2.1"));
        (seen.ede.as_ref()?.0 == INVALID_DATA).then_some(())
    });
    victim.restore();
}

/// Past heights are answered from the same files, so they fail in the same way.
#[test]
fn the_past_is_not_made_up_either() {
    let home = Home::new();
    let mut victim = Victim::register(home.path(), &[]);
    let then = victim.world.height();
    victim.world.mine_empty(2);
    victim.change(&zonefile(NAME, "192.0.2.66"));
    victim.world.forget_answers();
    let reply = victim.world.lookup(NAME, "A", Some(then));
    assert_eq!((reply.rcode.as_str(), reply.records.len()), ("SERVFAIL", 0));
    assert_eq!(reply.ede.map(|ede| ede.code), Some(INVALID_DATA));
}

/// Watched folders are anybody's: what lies there counts by its hash alone.
#[test]
fn a_watched_folder_cannot_change_an_answer() {
    let home = Home::new();
    let folder = home.folder("drop");
    let victim = Victim::register(home.path(), std::slice::from_ref(&folder));
    let file = folder.join("anna.id.zone");
    for (what, bytes) in changes(&victim.bytes) {
        let waits = bytes.len() <= ZONEFILE_MAX;
        fs::write(&file, &bytes).expect("the folder can be written");
        let expected = waits.then(|| ZonefileHash::of(&bytes).to_string());
        until("the folder to be read", || {
            let waiting = status(victim.world.socket())?.zonefiles.waiting;
            let hash = waiting.first().map(|waiting| waiting.hash.clone());
            (hash == expected).then_some(())
        });
        victim.is_served();
        assert!(
            !victim.world.is_archived(&ZonefileHash::of(&bytes)),
            "{what}"
        );
    }
}

/// The right file in a folder mends the archive: when it arrives, and at the start.
#[test]
fn the_right_file_in_a_folder_mends_the_archive() {
    let home = Home::new();
    let folder = home.folder("drop");
    let mut victim = Victim::register(home.path(), std::slice::from_ref(&folder));
    victim.change(b"$ORIGIN anna.id\n@ A 192.0.2.66\n");
    victim.is_tampered("overwritten");
    fs::write(folder.join("any name will do"), &victim.bytes).expect("the folder can be written");
    victim.is_mended();
    victim.world.stop_daemon();
    victim.change(b"$ORIGIN anna.id\n@ A 192.0.2.66\n");
    victim.world.start_daemon();
    victim.is_mended();
}

/// A status looks at every file that has changed since it was last read.
#[test]
fn changed_files_are_counted_as_missing() {
    let home = Home::new();
    let victim = Victim::register(home.path(), &[]);
    let counted = || {
        let zonefiles = status(victim.world.socket()).expect("a status").zonefiles;
        (
            zonefiles.announced.present,
            zonefiles.announced.missing_count,
        )
    };
    for (what, bytes) in changes(&victim.bytes) {
        victim.change(&bytes);
        assert_eq!(counted(), (0, 1), "{what}");
        victim.restore();
        assert_eq!(counted(), (1, 0), "{what}");
    }
}

/// Whoever notices that a file of the archive was changed, emptied or removed, has it mended from a watched folder.
#[test]
fn a_change_that_is_noticed_is_mended_from_a_folder() {
    let home = Home::new();
    let folder = home.folder("drop");
    let victim = Victim::register(home.path(), std::slice::from_ref(&folder));
    fs::write(folder.join("kept"), &victim.bytes).expect("the folder can be written");
    let is_mended = || {
        status(victim.world.socket()).expect("a status");
        victim.is_mended();
    };
    for (_, bytes) in changes(&victim.bytes).into_iter().step_by(3) {
        victim.change(&bytes);
        is_mended();
    }
    victim.change(b"");
    is_mended();
    status(victim.world.socket()).expect("a status that reads the file");
    fs::remove_file(victim.record().path).expect("the archive can be written");
    is_mended();
}

/// Nobody asks for a name or for the status meanwhile.
#[test]
fn an_archive_that_was_removed_is_noticed_and_filled_from_a_folder() {
    let home = Home::new();
    let folder = home.folder("drop");
    let mut victim = Victim::register(home.path(), std::slice::from_ref(&folder));
    fs::write(folder.join("kept"), &victim.bytes).expect("the folder can be written");
    let archive = victim.archive.clone();
    for gone in ["once", "twice"] {
        fs::rename(&archive, home.path().join(gone)).expect("the archive is there");
        victim.is_mended();
    }
    victim.world.stop_daemon();
    fs::remove_dir_all(&archive).expect("the archive is there");
    victim.world.start_daemon();
    victim.is_mended();
}
