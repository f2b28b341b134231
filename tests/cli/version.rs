//! The commit in `bnsd --version`.

use std::fs;
use std::path::Path;

use crate::common::home::{Home, ended};

#[path = "../../src/build.rs"]
mod build;

use build::made_from;

/// Runs git in a directory, whoever the user is.
fn git(home: &Home, directory: &Path, arguments: &[&str]) -> String {
    let who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"];
    let mut command = home.command("git", &[&who[..], arguments].concat());
    command
        .current_dir(directory)
        .env("GIT_COMMITTER_DATE", "2026-11-21T23:59:59Z");
    let ended = ended(&mut command);
    assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
    ended.stdout.trim().to_owned()
}

/// A repository with one commit.
fn repository(home: &Home) -> std::path::PathBuf {
    let root = home.folder("sources");
    fs::create_dir(root.join("src")).unwrap();
    for file in ["src/main.rs", "Cargo.toml", "Cargo.lock", "README.md"] {
        fs::write(root.join(file), "one\n").unwrap();
    }
    git(home, &root, &["init", "--quiet"]);
    git(home, &root, &["add", "."]);
    git(home, &root, &["commit", "--quiet", "--message", "One"]);
    root
}

#[test]
fn the_version_names_the_last_commit_that_changed_the_program() {
    let home = Home::new();
    let root = repository(&home);
    let first = git(&home, &root, &["rev-parse", "--short=12", "HEAD"]);
    let expected = format!(" ({first} 2026-11-21)");
    assert_eq!(made_from(&root, None), expected);
    fs::write(root.join("README.md"), "two\n").unwrap();
    git(
        &home,
        &root,
        &["commit", "--quiet", "--all", "--message", "Two"],
    );
    assert_eq!(made_from(&root, None), expected, "the program is the same");
    fs::write(root.join("src/main.rs"), "two\n").unwrap();
    assert_eq!(made_from(&root, None), format!(" ({first}+ 2026-11-21)"));
    git(
        &home,
        &root,
        &["commit", "--quiet", "--all", "--message", "Three"],
    );
    let third = git(&home, &root, &["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(made_from(&root, None), format!(" ({third} 2026-11-21)"));
    assert_eq!(
        made_from(&root, Some("1709164800")),
        format!(" ({third} 2024-02-29)")
    );
    assert_eq!(
        made_from(&root, Some("951868799")),
        format!(" ({third} 2000-02-29)")
    );
}

#[test]
fn sources_without_a_history_of_their_own_name_none() {
    let home = Home::new();
    let alone = home.folder("alone");
    assert_eq!(made_from(&alone, Some("0")), "");
    let inside = repository(&home).join("src");
    assert_eq!(made_from(&inside, None), "", "somebody else's repository");
    let package =
        "{\n  \"git\": {\n    \"sha1\": \"0123456789abcdef0123456789abcdef01234567\"\n  }\n}";
    fs::write(inside.join(".cargo_vcs_info.json"), package).unwrap();
    assert_eq!(made_from(&inside, None), " (0123456789ab)");
    assert_eq!(made_from(&inside, Some("0")), " (0123456789ab 1970-01-01)");
}

#[test]
fn the_program_says_what_it_was_made_from() {
    let home = Home::new();
    let version = home.run(&["--version"]).stdout;
    let of_package = concat!("bnsd ", env!("CARGO_PKG_VERSION"));
    let rest = version.trim_end().strip_prefix(of_package).expect(&version);
    let is_commit = rest.starts_with(" (") && rest.ends_with(')');
    assert!(rest.is_empty() || is_commit, "{version}");
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists();
    assert!(!top || is_commit, "{version}");
}
