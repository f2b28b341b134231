//! Directories of a name's owner, on a disk.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::snippets::CHAIN;
use super::*;
use crate::trust::profile::DAY;

/// 2027-01-15.
const NOW: u64 = 1_800_000_000;

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn prepared(directory: &Path, now: u64) -> OwnerFiles {
    OwnerFiles::prepare(directory, &name("me.id"), now).expect("all that is needed")
}

fn made(directory: &Path) -> OwnerFiles {
    let files = prepared(directory, NOW);
    files.save().expect("a directory to write to");
    files
}

fn refused(directory: &Path, of: &str) -> String {
    let refused = OwnerFiles::prepare(directory, &name(of), NOW).map(|_| ());
    refused.expect_err("it is refused").to_string()
}

fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let bytes = fs::read(&path).expect("a file");
            (
                path.file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned(),
                bytes,
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn nothing_is_written_before_it_is_saved_and_nothing_is_written_twice() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let directory = scratch.path().join("tls");
    let mut files = prepared(&directory, NOW);
    assert!(!directory.exists() && files.files().all(|(_, is_new)| is_new));
    files
        .add_zonefile("$ORIGIN me.id\n")
        .expect("no file is there");
    files.save().expect("a directory to write to");
    assert_eq!(fs::metadata(&directory).expect("it").mode() & 0o777, 0o700);
    let before = contents(&directory);
    assert_eq!(before.len(), 10);
    for (name, _) in &before {
        let mode = fs::metadata(directory.join(name)).expect("it").mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let mut again = prepared(&directory, NOW + DAY);
    again
        .add_zonefile("$ORIGIN me.id\n@ A 192.0.2.1\n")
        .expect("one is there");
    assert!(again.files().all(|(_, is_new)| !is_new));
    assert_eq!(again.zonefile(), Some(&b"$ORIGIN me.id\n"[..]));
    assert_eq!(
        (again.key(), again.leaf_ends()),
        (files.key(), files.leaf_ends())
    );
    again.save().expect("nothing to write");
    files
        .save()
        .expect_err("somebody else wrote them meanwhile");
    assert_eq!(contents(&directory), before);
}

/// A crash may leave some of the files.
#[test]
fn what_is_missing_is_made_again_of_what_is_there() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let key = made(scratch.path()).key();
    let all = contents(scratch.path());
    for (missing, _) in all.iter().filter(|(name, _)| name != AUTHORITY_KEY) {
        fs::remove_file(scratch.path().join(missing)).expect("a file");
        if missing == LEAF_KEY {
            let reason = refused(scratch.path(), "me.id");
            assert!(reason.contains("`bnsd tls issue --dir "), "{reason}");
            let renewed = OwnerFiles::renewed(scratch.path(), LeafKey::Kept, NOW);
            renewed.expect("a new key").replace().expect("written");
        }
        assert_eq!(made(scratch.path()).key(), key, "{missing}");
        assert_eq!(contents(scratch.path()).len(), all.len(), "{missing}");
    }
}

#[test]
fn keys_of_others_and_exposed_ones_are_refused() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (ours, theirs) = (scratch.path().join("ours"), scratch.path().join("theirs"));
    made(&ours);
    made(&theirs);
    assert!(
        refused(&ours, "you.id")
            .contains("has the keys of me.id: name another directory for you.id")
    );
    let key = ours.join(AUTHORITY_KEY);
    fs::set_permissions(&key, Permissions::from_mode(0o640)).expect("ours");
    assert!(refused(&ours, "me.id").contains("`chmod 600` it"));
    fs::copy(theirs.join(AUTHORITY_KEY), &key).expect("a copy");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("ours");
    assert!(refused(&ours, "me.id").contains("is not of the key in authority.key"));
    fs::write(&key, "-----BEGIN EC PRIVATE KEY-----\n").expect("ours");
    assert!(refused(&ours, "me.id").contains("`openssl pkcs8 -topk8 -nocrypt -in FILE`"));
    fs::remove_file(&key).expect("ours");
    assert!(refused(&ours, "me.id").contains("put that key back"));
    let renewed = OwnerFiles::renewed(&ours, LeafKey::Kept, NOW).map(|_| ());
    let reason = renewed.expect_err("no key").to_string();
    assert!(reason.contains("has no authority.key"), "{reason}");
    assert_eq!(contents(&ours).len(), 8, "nothing was written");
}

#[test]
fn a_renewed_leaf_is_of_the_same_authority_and_as_readable_as_the_one_before() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let directory = scratch.path();
    made(directory);
    let path = |name: &str| directory.join(name);
    let read = |name: &str| fs::read(path(name)).expect("a file");
    fs::set_permissions(path(CHAIN), Permissions::from_mode(0o640)).expect("ours");
    let all = [AUTHORITY_KEY, AUTHORITY, LEAF_KEY, LEAF, CHAIN];
    let renew = |key, now| {
        let before = all.map(read);
        let files = OwnerFiles::renewed(directory, key, now).expect("a leaf");
        files.replace().expect("written");
        let after = all.map(read);
        let changed = all.iter().zip(before.iter().zip(&after));
        let changed = changed.filter(|(_, (before, after))| before != after);
        changed.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let later = NOW + 300 * DAY;
    assert_eq!(renew(LeafKey::Kept, later), [LEAF, CHAIN]);
    assert_eq!(read(CHAIN), [read(LEAF), read(AUTHORITY)].concat());
    assert_eq!(renew(LeafKey::New, later), [LEAF_KEY, LEAF, CHAIN]);
    assert_eq!(fs::metadata(path(CHAIN)).expect("it").mode() & 0o777, 0o640);
    assert_eq!(
        fs::metadata(path(LEAF_KEY)).expect("it").mode() & 0o777,
        0o600
    );
    // The authority's certificate is renewed where it would end first, or was made by a clock that was ahead.
    assert_eq!(
        renew(LeafKey::Kept, NOW + 7_000 * DAY),
        [AUTHORITY, LEAF, CHAIN]
    );
    assert_eq!(renew(LeafKey::Kept, later), [AUTHORITY, LEAF, CHAIN]);
    assert_eq!(
        prepared(directory, later).leaf_ends(),
        later + 396 * DAY - 1
    );
}

#[test]
fn clocks_that_were_never_set_and_paths_that_servers_misread_are_refused() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let of = |directory: &str, now| {
        OwnerFiles::prepare(&scratch.path().join(directory), &name("me.id"), now).map(|_| ())
    };
    assert!(matches!(of("tls", 86_400), Err(OwnerError::Clock)));
    for directory in ["a\"b", "a$b", "a{b}", "a\nb", "a#b", "a;b", "a\\b"] {
        assert!(
            matches!(of(directory, NOW), Err(OwnerError::Path(_))),
            "{directory}"
        );
    }
    of("my keys/caf\u{e9}", NOW).expect("quotes are enough");
}
