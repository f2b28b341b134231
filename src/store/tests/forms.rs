//! Compiled forms in the records of segments: read with their zone files, and only beside bytes that have their hash.
//!
//! Whoever can write to the disk can put a form there that is well made and wrong. No reader can tell; it takes a form only for
//! the name that it is about, and what looks after the archive compiles every zone file again and puts the truth in its place.

use std::fs;

use hickory_proto::rr::Name as DnsName;

use super::*;
use crate::disk::steps::System;
use crate::store::segments::Limits;
use crate::zonefile::{COMPILED_VERSION, Compiled, parse};

const VERSION: u32 = COMPILED_VERSION as u32;
const ZONE: &[u8] = b"$ORIGIN n1.id\n@ A 192.0.2.1\n";
const LAST: &[u8] = b"; the last";
const FORM: &[u8] = b"some compiled form";

fn hash() -> ZonefileHash {
    ZonefileHash::of(ZONE)
}

/// An archive with one zone file, between two others, and a form behind it.
fn archive(form: &[u8], version: u32) -> (TempDir, Archive) {
    let scratch = power::fast_scratch();
    let archive = Archive::open(scratch.path()).expect("it can be made");
    let files = [&b"; the first"[..], ZONE, LAST];
    archive.put_many(&files).expect("they fit");
    let record = segments::find(scratch.path(), &hash().0).expect("a record");
    segments::put_compiled(&record, form, version);
    let again = Archive::open(scratch.path()).expect("it opens");
    (scratch, again)
}

/// What is read for the zone file: its bytes and its form.
fn read(archive: &Archive) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut buffer = vec![7; 3];
    let stored = archive.get_compiled(&hash(), &mut buffer);
    let stored = stored.expect("readable")?;
    Some((stored.zonefile.to_vec(), stored.compiled.map(Vec::from)))
}

fn without_form() -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    Some((ZONE.to_vec(), None))
}

#[test]
fn a_zone_file_is_read_with_its_form() {
    let (_scratch, archive) = archive(FORM, VERSION);
    assert_eq!(read(&archive), Some((ZONE.to_vec(), Some(FORM.to_vec()))));
    let found = archive.get(&hash()).expect("readable");
    assert_eq!(found, Lookup::Found(ZONE.to_vec()));
    let mut buffer = Vec::new();
    let other = ZonefileHash([7; 20]);
    let stored = archive.get_compiled(&other, &mut buffer);
    assert_eq!(stored.expect("readable"), None);
}

#[test]
fn no_form_and_one_of_another_version_are_none() {
    for (form, version) in [
        (&b""[..], 0),
        (b"", VERSION),
        (FORM, 0),
        (FORM, VERSION + 1),
    ] {
        let (_scratch, archive) = archive(form, version);
        assert_eq!(read(&archive), without_form(), "{version}");
    }
}

#[test]
fn no_flipped_byte_of_a_record_lets_a_wrong_form_out() {
    let (scratch, archive) = archive(FORM, VERSION);
    let record = segments::find(scratch.path(), &hash().0).expect("a record");
    let form = segments::HEAD + ZONE.len()..record.size();
    for position in 0..record.size() {
        segments::flip(&record, position);
        let expected = form.contains(&position).then(without_form).flatten();
        assert_eq!(read(&archive), expected, "byte {position}");
        segments::flip(&record, position);
    }
    assert!(read(&archive).is_some_and(|(_, form)| form.is_some()));
}

#[test]
fn a_cut_form_is_none() {
    let (scratch, archive) = archive(FORM, VERSION);
    let record = segments::find(scratch.path(), &hash().0).expect("a record");
    let segment = fs::read(&record.path).expect("readable");
    for length in (record.at..record.at + record.size()).rev() {
        fs::write(&record.path, &segment[..length]).expect("writable");
        let has_zone = length >= record.at + segments::HEAD + ZONE.len();
        let expected = has_zone.then(without_form).flatten();
        assert_eq!(read(&archive), expected, "{length} bytes");
    }
}

/// Who asks in this way learns nothing of files of their own, and nobody is told: that is left to `ask`.
#[test]
fn a_file_of_its_own_and_a_wrong_record_are_left_to_others() {
    let scratch = power::fast_scratch();
    let archive = Archive::open(scratch.path()).expect("it can be made");
    let (tell, told) = std::sync::mpsc::channel();
    archive.subscribe(move |notice| tell.send(notice).expect("somebody listens"));
    let name = hash().to_string();
    let folder = scratch.path().join(&name[..2]).join(&name[2..4]);
    fs::create_dir_all(&folder).expect("writable");
    fs::write(folder.join(format!("{name}.txt")), ZONE).expect("writable");
    assert_eq!(read(&archive), None);
    assert_eq!(told.try_iter().count(), 0);
    archive.gather(|| true).expect("writable");
    assert_eq!(read(&archive), truth());
    // One that was wrong and is right again is news for those who wait.
    let record = segments::find(scratch.path(), &hash().0).expect("a record");
    segments::flip(&record, segments::HEAD);
    assert_eq!(read(&archive), None);
    assert!(!archive.contains(&hash()).expect("readable"));
    segments::flip(&record, segments::HEAD);
    assert!(read(&archive).is_some());
    let told: Vec<Notice> = told.try_iter().collect();
    assert_eq!(told, [Notice::Unsound(hash()), Notice::Stored(hash())]);
}

/// The form of a zone file, as whoever asks for a name would compile it.
fn compiled(name: &str, zonefile: &[u8]) -> Vec<u8> {
    let name = DnsName::from_ascii(name).expect("a name");
    let zone = parse(&name, zonefile).expect("not too long");
    let form = Compiled::of(&zone).expect("a small zone");
    form.as_bytes().to_vec()
}

fn truth() -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    Some((ZONE.to_vec(), Some(compiled("n1.id", ZONE))))
}

#[test]
fn a_zone_file_gets_its_form_when_it_is_stored_moved_or_compacted() {
    let scratch = power::fast_scratch();
    let archive = Archive::open(scratch.path()).expect("it can be made");
    archive.put(ZONE).expect("it fits");
    assert_eq!(read(&archive), truth());

    let scratch = power::fast_scratch();
    let archive = Archive::open(scratch.path()).expect("it can be made");
    let name = hash().to_string();
    let folder = scratch.path().join(&name[..2]).join(&name[2..4]);
    fs::create_dir_all(&folder).expect("writable");
    fs::write(folder.join(format!("{name}.txt")), ZONE).expect("writable");
    archive.gather(|| true).expect("writable");
    assert_eq!(read(&archive), truth());

    let record = segments::find(scratch.path(), &hash().0).expect("a record");
    segments::put_compiled(&record, b"", 0);
    let mut segment = fs::read(&record.path).expect("readable");
    segment.extend(vec![0; 2_000]); // dead
    segment.extend(segments::write(&ZonefileHash::of(LAST).0, LAST, b"", 0));
    fs::write(&record.path, segment).expect("writable");
    let limits = Limits {
        dead: 1,
        ..Limits::default()
    };
    let archive = Archive::open_with(scratch.path(), Arc::new(System), limits);
    let archive = archive.expect("it opens");
    assert_eq!(read(&archive), without_form());
    archive
        .sweep(Some(&ZonefileHash([255; 20])), 1)
        .expect("it compacts");
    assert_ne!(segments::files(scratch.path()), [record.path]);
    assert_eq!(read(&archive), truth());
}

#[test]
fn a_form_that_is_old_damaged_or_forged_is_made_anew() {
    let forged = compiled("n1.id", b"@ A 198.51.100.66\n");
    let others = compiled("n2.id", b"@ A 192.0.2.1\n");
    let right = compiled("n1.id", ZONE);
    for (form, version, is_wrong) in [
        (&b""[..], 0, false),
        (b"", VERSION - 1, false),
        (&forged, VERSION + 1, false),
        (b"", VERSION, true),
        (b"no form", VERSION, true),
        (&forged, VERSION, true),
        (&others, VERSION, true),
        (&right[1..], VERSION, true),
    ] {
        for is_swept in [true, false] {
            let (scratch, archive) = archive(form, version);
            let before = read(&archive).expect("the zone file is right");
            assert_eq!(before.0, ZONE);
            assert_ne!(before.1.as_ref(), Some(&right));
            if is_swept {
                archive.sweep(None, 9).expect("writable");
            } else {
                let mut reached = Vec::new();
                let checked = archive.check_forms(|count, of| reached.push((count, of)));
                let checked = checked.expect("writable");
                assert_eq!((checked.files, reached), (3, vec![(3, 3)]));
                assert_eq!(
                    (checked.wrong, checked.old),
                    (is_wrong.into(), (!is_wrong).into())
                );
            }
            assert_eq!(read(&archive), truth());
            let again = Archive::open(scratch.path()).expect("it opens");
            assert_eq!(read(&again), truth());
            let checked = again.check_forms(|_, _| ()).expect("readable");
            assert_eq!((checked.wrong, checked.old), (0, 0));
        }
    }
}

/// Two records whose forms changed places, each with a right seal.
#[test]
fn swapped_forms_are_about_other_names_and_are_put_right() {
    let scratch = power::fast_scratch();
    let archive = Archive::open(scratch.path()).expect("it can be made");
    let other = b"$ORIGIN n2.id\n@ A 192.0.2.2\n";
    let other_hash = archive.put(other).expect("it fits");
    archive.put(ZONE).expect("it fits");
    let record = |hash: &ZonefileHash| segments::find(scratch.path(), &hash.0).expect("a record");
    let [first, second] = [record(&hash()), record(&other_hash)];
    segments::put_compiled(&first, &second.compiled, VERSION);
    segments::put_compiled(&second, &first.compiled, VERSION);
    let (_, form) = read(&archive).expect("the zone file is right");
    let form = Compiled::read(&form.expect("a form")).expect("it is one");
    assert_eq!(
        form.origin(),
        b"\x02n2\x02id\0",
        "nobody asks it about n1.id"
    );
    archive.sweep(None, 9).expect("writable");
    assert_eq!(read(&archive), truth());
    assert_eq!(record(&other_hash).compiled, second.compiled);
}

/// What damages a form alone costs no zone file, also where a start has no table.
#[test]
fn a_damaged_form_costs_no_zone_file() {
    let (scratch, archive) = archive(FORM, VERSION);
    drop(archive);
    let record = segments::find(scratch.path(), &hash().0).expect("a record");
    for position in segments::HEAD + ZONE.len()..record.size() {
        segments::flip(&record, position);
        let again = Archive::open(scratch.path()).expect("it opens");
        assert_eq!(again.list(|| true).expect("readable").len(), 3);
        assert_eq!(read(&again), without_form(), "byte {position}");
        segments::flip(&record, position);
    }
}

/// A zone file of the size that most have takes no more than three times as much of the disk.
#[test]
fn a_record_is_small() {
    let scratch = power::fast_scratch();
    let archive = Archive::open(scratch.path()).expect("it can be made");
    let profile = "https://gaia.blockstack.org/hub/1HAo4qXrkvDZPcyGBRgHrT9LQVT2mHE6nC/profile.json";
    let text = format!(
        "$ORIGIN satoshi.id\n$TTL 3600\n_http._tcp\tIN\tURI\t10\t1\t\"{profile}\"\n@ A 192.0.2.1\n@ AAAA 2001:db8::1\nwww CNAME @\n@ TXT \"v=1\"\n_x TXT \"{}\"\n",
        "x".repeat(22)
    );
    assert_eq!(text.len(), 223);
    let hash = archive.put(text.as_bytes()).expect("it fits");
    let record = segments::find(scratch.path(), &hash.0).expect("a record");
    println!("a zone file of 223 bytes takes {} bytes", record.size());
    assert!(!record.compiled.is_empty() && record.size() <= 700);
}
