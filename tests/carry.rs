//! All zone files carried somewhere and back: `bnsd zonefile export --all` and `import`, with a daemon and without.

use std::fs;
use std::path::{Path, PathBuf};

use bnsd::hash::ZonefileHash;
use hickory_proto::rr::RecordType;
use serde_json::Value;

use crate::common::home::{Ended, Home, ended};
use crate::common::process::{status, until};
use crate::common::world::{World, zonefile};

const NAMES: [&str; 3] = ["anna.id", "berta.id", "clara.id"];

/// Three names, of which the last one's zone file nobody has.
struct Bench {
    home: Home,
    world: World,
    files: Vec<Vec<u8>>,
}

impl Bench {
    fn new() -> Self {
        let home = Home::new();
        let mut world = World::start(home.path(), &[]);
        let files: Vec<Vec<u8>> = NAMES
            .iter()
            .map(|name| zonefile(name, "192.0.2.1"))
            .collect();
        let hashes = files.iter().map(|bytes| ZonefileHash::of(bytes));
        let zones: Vec<(&str, ZonefileHash)> = NAMES.into_iter().zip(hashes).collect();
        world.publish(&zones);
        for bytes in &files[..2] {
            world.archive(bytes);
        }
        Self { home, world, files }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// With the daemon if it runs, else with its data directory.
    fn run(&self, arguments: &[&str]) -> Ended {
        let data = self.world.data().display().to_string();
        let socket = self.world.socket().display().to_string();
        let place = ["--json", "--data-dir", &data, "--control-socket", &socket];
        let arguments = [arguments, &place].concat();
        ended(self.home.bnsd(&arguments).env("BNSD_CHAIN_SOURCE", "dev"))
    }

    fn report(&self, arguments: &[&str]) -> Value {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    fn export(&self, to: &str) -> Value {
        self.report(&["zonefile", "export", "--all", to])
    }

    fn import(&self, from: &str) -> Value {
        self.report(&["zonefile", "import", from])
    }

    fn archive(&self) -> PathBuf {
        self.world.data().join("zonefiles")
    }

    /// Throws away what the archive has.
    fn lose(&self) {
        let gone = tempfile::tempdir_in(self.home.path()).unwrap().keep();
        fs::rename(self.archive(), gone.join("archive")).unwrap();
    }

    fn is_served(&self, name: &str) {
        let seen = self.world.see(name, RecordType::A);
        assert!(seen.has_address("192.0.2.1"), "{name}: {seen:?}");
    }
}

/// Runs a script in Python.
fn python(home: &Home, script: &str, argument: &str) -> String {
    let own = std::env::var_os("HOME").unwrap_or_default();
    let mut command = home.command("python3", &["-c", script, argument]);
    let ran = ended(command.env("HOME", own));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

#[test]
fn what_is_exported_comes_back_from_a_directory_and_from_archives() {
    let bench = Bench::new();
    for name in ["all", "all.tar", "all.tar.gz"] {
        let to = bench.path(name);
        let exported = bench.export(&to);
        assert_eq!(exported["rows"], 3, "{exported}");
        assert_eq!(
            (&exported["zonefiles"], &exported["absent"]),
            (&2.into(), &1.into())
        );
        bench.lose();
        let imported = bench.import(&to);
        let counts = [
            "stored",
            "known",
            "unannounced",
            "passed_over",
            "index_rows",
        ];
        let counts = counts.map(|count| imported[count].as_u64().unwrap());
        assert_eq!(counts, [2, 0, 0, 0, 3], "{name}");
        bench.is_served(NAMES[0]);
        bench.is_served(NAMES[1]);
        assert_eq!(bench.import(&to)["known"], 2);
    }
    // Another program sees the same in each.
    let index = fs::read_to_string(bench.path("all/index.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = index
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect())
        .collect();
    for ((number, row), (name, bytes)) in (1..).zip(&rows).zip(NAMES.iter().zip(&bench.files)) {
        let hash = ZonefileHash::of(bytes).to_string();
        assert_eq!(row[..3], [number.to_string().as_str(), name, &hash]);
        assert_eq!(row.len(), 6);
    }
    assert_eq!(
        rows.iter().map(|row| row[5]).collect::<Vec<_>>(),
        ["present", "present", "absent"]
    );
    let script = "import sys,tarfile
for member in tarfile.open(sys.argv[1]): print(member.name, member.size)";
    for name in ["all.tar", "all.tar.gz"] {
        let listed = python(&bench.home, script, &bench.path(name));
        let listed: Vec<&str> = listed.lines().collect();
        assert_eq!(listed[0], format!("index.tsv {}", index.len()));
        assert_eq!(listed.len(), 3);
    }
}

#[test]
fn a_data_directory_without_a_daemon_is_enough() {
    let mut bench = Bench::new();
    let to = bench.path("all.tgz");
    bench.world.stop_daemon();
    assert_eq!(bench.export(&to)["zonefiles"], 2);
    bench.lose();
    assert_eq!(bench.import(&to)["stored"], 2);
    bench.world.start_daemon();
    bench.is_served(NAMES[0]);
}

#[test]
fn an_export_that_was_begun_is_completed() {
    let bench = Bench::new();
    let to = bench.path("all");
    bench.export(&to);
    let hash = ZonefileHash::of(&bench.files[0]).to_string();
    let file = Path::new(&to)
        .join(&hash[..2])
        .join(&hash[2..4])
        .join(format!("{hash}.txt"));
    let index = fs::read(Path::new(&to).join("index.tsv")).unwrap();
    fs::write(&file, "half").unwrap();
    fs::remove_file(Path::new(&to).join("index.tsv")).unwrap();
    bench.export(&to);
    assert_eq!(fs::read(&file).unwrap(), bench.files[0]);
    assert_eq!(fs::read(Path::new(&to).join("index.tsv")).unwrap(), index);
}

/// What somebody may have put into an archive: paths that lead elsewhere, links, devices, sizes that are none, other files.
#[test]
fn a_hostile_archive_brings_only_what_is_announced() {
    let bench = Bench::new();
    bench.lose();
    let file = bench.path("file");
    fs::write(&file, &bench.files[0]).unwrap();
    let script = "
import io, sys, tarfile
file = sys.argv[1]
zone = open(file, 'rb').read()
tar = tarfile.open(file + '.tar', 'w', format=tarfile.GNU_FORMAT)
def add(name, data=b'', kind=tarfile.REGTYPE, link=''):
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(data), kind, link
    tar.addfile(member, io.BytesIO(data))
add('../../evil', b'$ORIGIN evil.id')
add('/' + file.strip('/') + '.evil', b'$ORIGIN evil.id')
add('link', kind=tarfile.SYMTYPE, link='/etc/passwd')
add('hard', kind=tarfile.LNKTYPE, link='/etc/passwd')
add('pipe', kind=tarfile.FIFOTYPE)
add('x' * 5000, zone[:-1])
add('large', b'a' * 50000)
add('empty')
add('../zone', zone)
tar.close()
";
    python(&bench.home, script, &file);
    let before = listing(bench.home.path());
    let imported = bench.import(&format!("{file}.tar"));
    assert_eq!(imported["stored"], 1, "{imported}");
    assert_eq!(imported["unannounced"], 3);
    assert_eq!(imported["passed_over"].as_u64().unwrap(), 6, "{imported}");
    assert_eq!(imported["unannounced_hashes"].as_array().unwrap().len(), 3);
    assert_eq!(listing(bench.home.path()), before);
    assert!(!bench.home.path().join("../evil").exists());
    bench.is_served(NAMES[0]);
}

fn listing(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.ends_with("zonefiles")); // the archive, which is made again
    paths.sort();
    paths
}

#[test]
fn an_index_of_another_chain_is_refused() {
    let bench = Bench::new();
    let to = bench.path("all");
    bench.export(&to);
    bench.lose();
    let path = Path::new(&to).join("index.tsv");
    let index = fs::read_to_string(&path).unwrap();
    let swapped = index.replace("anna.id", "carla.id");
    let cut = index.replace('\t', " ");
    for (wrong, said) in [
        (swapped, "of another chain"),
        (cut, "none of an export"),
        (String::new(), "none of an export"),
    ] {
        fs::write(&path, wrong).unwrap();
        let ran = bench.run(&["zonefile", "import", &to]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
        assert_eq!(
            status(bench.world.socket())
                .unwrap()
                .zonefiles
                .announced
                .present,
            0
        );
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(bench.import(&to)["stored"], 2);
}

#[test]
fn missing_files_are_listed_with_what_was_tried() {
    let bench = Bench::new();
    let missing = || bench.report(&["zonefile", "missing"]);
    let listed = until("the archive to be counted", || {
        let listed = missing();
        (listed.as_array()?.len() == 1).then_some(listed)
    });
    let hash = ZonefileHash::of(&bench.files[2]);
    assert_eq!(listed[0]["name"], NAMES[2]);
    assert_eq!(listed[0]["hash"], hash.to_string());
    assert!(listed[0]["since"].as_u64().unwrap() > 1_700_000_000);
    assert!(listed[0]["tried"].is_null());
    let offchain = bench.world.offchain();
    offchain
        .note_tried(&[hash], "192.0.2.9:6264", 1_800_000_000)
        .unwrap();
    offchain
        .note_tried(&[hash], "s3://zones", 1_800_000_060)
        .unwrap();
    let tried = &missing()[0]["tried"];
    assert_eq!(tried["times"], 2);
    assert_eq!(
        (&tried["first"], &tried["last"]),
        (&1_800_000_000.into(), &1_800_000_060.into())
    );
    assert_eq!(tried["by"], "s3://zones");
    let socket = bench.world.socket().display().to_string();
    let page = bench
        .home
        .run(&["zonefile", "missing", "--control-socket", &socket]);
    assert!(
        page.stdout
            .contains("asked 2 times, the last time s3://zones at 2027-01-15T08:01:00Z"),
        "{page:?}"
    );
}
