//! Compiled forms in the records of segments: read with their zone files, and only beside bytes that have their hash.

use super::*;
use crate::zonefile::COMPILED_VERSION;

const VERSION: u32 = COMPILED_VERSION as u32;
const ZONE: &[u8] = b"$ORIGIN n1.id\n@ A 192.0.2.1\n";
const FORM: &[u8] = b"some compiled form";

fn hash() -> ZonefileHash {
    ZonefileHash::of(ZONE)
}

/// An archive with one zone file, between two others, and a form behind it.
fn archive(form: &[u8], version: u32) -> (TempDir, Archive) {
    let scratch = power::fast_scratch();
    let archive = Archive::open(scratch.path()).expect("it can be made");
    let files = [&b"; the first"[..], ZONE, b"; the last"];
    archive.put_many(&files).expect("they fit");
    let record = segments::find(scratch.path(), &hash().0).expect("a record");
    put_form(&record, form, version);
    let again = Archive::open(scratch.path()).expect("it opens");
    (scratch, again)
}

/// Puts another compiled form into a record, which is whole then; what is behind it moves.
fn put_form(record: &segments::Record, form: &[u8], version: u32) {
    let mut segment = std::fs::read(&record.path).expect("readable");
    let new = segments::write(&record.hash, &record.bytes, form, version);
    segment.splice(record.at..record.at + record.size(), new);
    std::fs::write(&record.path, segment).expect("writable");
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
    let segment = std::fs::read(&record.path).expect("readable");
    for length in (record.at..record.at + record.size()).rev() {
        std::fs::write(&record.path, &segment[..length]).expect("writable");
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
    std::fs::create_dir_all(&folder).expect("writable");
    std::fs::write(folder.join(format!("{name}.txt")), ZONE).expect("writable");
    assert_eq!(read(&archive), None);
    assert_eq!(told.try_iter().count(), 0);
    archive.gather(|| true).expect("writable");
    assert_eq!(read(&archive), without_form());
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
