//! Copies of zone files in other places, with the servers that people use: S3 (moto), WebDAV (wsgidav), a web server, a
//! directory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bnsd::atlas::{BackupConfig, BackupStatus, Backups, Unanswered};
use bnsd::hash::ZonefileHash;
use bnsd::store::Archive;
use bnsd::worker::Crew;
use bnsd::zonefile::ZONEFILE_MAX;
use tokio::runtime::Runtime;

use crate::common::home::Home;
use crate::common::ports::free_address;
use crate::common::process::{Process, until};

const PASSWORD: &str = "hunter2";

/// An archive, its backup at work, and the runtime that it works on.
struct Bench {
    runtime: Runtime,
    archive: Arc<Archive>,
    backups: Backups,
    crew: Option<Crew>,
}

impl Bench {
    fn start(home: &Home, uri: &str, files: &[Vec<u8>]) -> Self {
        let archive = Archive::open(&home.path().join("archive")).unwrap();
        archive.put_many(files).unwrap();
        let config: BackupConfig = uri.parse().unwrap();
        let (archive, backups) = (Arc::new(archive), Backups::open(&[config]).unwrap());
        let runtime = Runtime::new().unwrap();
        let mut crew = Crew::default();
        let entered = runtime.enter();
        backups.start(&archive, &mut crew);
        drop(entered);
        Self {
            runtime,
            archive,
            backups,
            crew: Some(crew),
        }
    }

    fn status(&self) -> BackupStatus {
        self.backups.status().remove(0)
    }

    fn has_written(&self, count: u64) {
        until("the backup to be written", || {
            let status = self.status();
            assert!(status.written <= count, "{status:?}");
            (status.written == count && status.waiting == 0 && status.compared).then_some(())
        });
    }

    fn fetch(&self, hash: &ZonefileHash) -> Option<Vec<u8>> {
        let fetched = self.runtime.block_on(self.backups.fetch(hash));
        fetched.expect("it answers").map(|(bytes, by)| {
            assert_eq!(by, self.status().place);
            bytes
        })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let crew = self.crew.take().expect("it is dropped once");
        let stopped = self.runtime.block_on(crew.stop(Duration::from_secs(5)));
        stopped.expect("the tasks end");
    }
}

fn files() -> Vec<Vec<u8>> {
    let text = |name: &str| format!("$ORIGIN {name}.id\n$TTL 60\n@ A 192.0.2.1\n").into_bytes();
    vec![text("anna"), text("werner"), vec![b';'; ZONEFILE_MAX]]
}

/// What is there at the start and what comes later is written, read back whole, and not written again by the next run.
fn is_a_backup(home: &Home, uri: &str) {
    let mut files = files();
    let bench = Bench::start(home, uri, &files);
    bench.has_written(3);
    files.push(b"$ORIGIN later.id\n".to_vec());
    let later = bench.archive.put(files.last().expect("one")).unwrap();
    bench.has_written(4);
    for file in &files {
        assert_eq!(bench.fetch(&ZonefileHash::of(file)).as_ref(), Some(file));
    }
    assert_eq!(bench.fetch(&ZonefileHash([7; 20])), None);
    let status = bench.status();
    assert_eq!((status.read, status.failed, status.problem), (4, 0, None));
    drop(bench);
    let bench = Bench::start(home, uri, &[]);
    bench.has_written(0); // what comes while both are compared may be written twice
    let more = bench.archive.put(b"$ORIGIN more.id\n").unwrap();
    bench.has_written(1);
    assert!(bench.fetch(&more).is_some() && bench.fetch(&later).is_some());
}

/// Where a backup has a file.
fn place(directory: &Path, hash: &ZonefileHash) -> PathBuf {
    let hash = hash.to_string();
    let (first, second) = (&hash[..2], &hash[2..4]);
    directory
        .join(first)
        .join(second)
        .join(format!("{hash}.txt"))
}

/// Whatever somebody does to the files there, no wrong byte comes back.
fn gives_no_wrong_bytes(bench: &Bench, directory: &Path) {
    let [first, second, ..] = &files()[..] else {
        unreachable!("there are three")
    };
    let (hash, path) = (
        ZonefileHash::of(first),
        place(directory, &ZonefileHash::of(first)),
    );
    assert_eq!(fs::read(&path).unwrap(), *first);
    for wrong in [
        second.clone(),
        vec![b'a'; 2 * ZONEFILE_MAX],
        first[..20].to_vec(),
    ] {
        fs::write(&path, &wrong).unwrap();
        assert_eq!(bench.fetch(&hash), None);
        assert!(bench.status().problem.is_some());
    }
    fs::write(&path, b"").unwrap();
    assert_eq!(bench.fetch(&hash), None);
    fs::write(&path, first).unwrap();
    assert_eq!(bench.fetch(&hash).as_ref(), Some(first));
}

#[test]
fn a_directory_is_a_backup() {
    let home = Home::new();
    let directory = home.path().join("copies");
    let uri = format!("fs:{}", directory.display());
    is_a_backup(&home, &uri);
    let bench = Bench::start(&home, &uri, &[]);
    bench.has_written(0);
    gives_no_wrong_bytes(&bench, &directory);
}

#[test]
fn a_file_that_a_backup_refuses_keeps_no_other_back() {
    let home = Home::new();
    let directory = home.path().join("copies");
    let uri = format!("fs:{}", directory.display());
    let mut files = files();
    files.sort_by_key(|file| ZonefileHash::of(file));
    let refused = place(&directory, &ZonefileHash::of(&files[0]));
    fs::create_dir_all(refused.join("in the way")).unwrap();
    let bench = Bench::start(&home, &uri, &files);
    let all_but_one = |count: u64| {
        until("all files but one to be written", || {
            let status = bench.status();
            let is_there = status.written == count && status.waiting == 1 && status.compared;
            (is_there && status.problem.is_some()).then_some(())
        });
    };
    all_but_one(2);
    // Some of these come behind it and some before it.
    for number in 0..8 {
        let file = format!("$ORIGIN later-{number}.id\n");
        bench.archive.put(file.as_bytes()).unwrap();
    }
    all_but_one(10);
    fs::remove_dir_all(&refused).unwrap();
    bench.has_written(11);
    assert_eq!(fs::read(&refused).unwrap(), files[0]);
    assert_eq!(bench.status().problem, None);
}

/// A file with rights for its owner alone.
fn secrets(home: &Home, text: &str) -> String {
    let path = home.path().join("secrets");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// A server in Python, once it takes connections.
fn server(home: &Home, arguments: &[&str], address: SocketAddr) -> Process {
    let mut command = home.command("python3", arguments);
    command.env("HOME", std::env::var_os("HOME").unwrap_or_default());
    let mut process = Process::start(home, command);
    until("the server to answer", || {
        let module = arguments[1];
        assert!(
            !process.has_ended(),
            "{module} ended, install it with pip as tests/run does: {}",
            process.stderr()
        );
        TcpStream::connect(address).ok()
    });
    process
}

#[test]
fn a_bucket_is_a_backup() {
    let home = Home::new();
    let address = free_address();
    let port = address.port().to_string();
    let _moto = server(&home, &["-m", "moto.server", "-p", &port], address);
    let mut made = String::new();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "PUT /zones HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_string(&mut made).unwrap();
    assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    let secrets = secrets(
        &home,
        "access-key-id = \"anna\"\nsecret-access-key = \"hunter2\"\n",
    );
    let uri = format!(
        "s3://zones/deep/folder?region=us-east-1&endpoint=http://{address}&secrets={secrets}"
    );
    is_a_backup(&home, &uri);
}

/// One that asks for a password, and is down for a while.
#[test]
fn a_webdav_folder_is_a_backup() {
    let home = Home::new();
    let address = free_address();
    let directory = home.folder("dav");
    let config = home.path().join("wsgidav.json");
    let text = serde_json::json!({
        "host": "127.0.0.1",
        "port": address.port(),
        "provider_mapping": { "/": directory.display().to_string() },
        "simple_dc": { "user_mapping": { "*": { "anna": { "password": PASSWORD } } } },
        "http_authenticator": {
            "accept_basic": true, "accept_digest": false, "default_to_digest": false
        },
    });
    fs::write(&config, text.to_string()).unwrap();
    let config = config.display().to_string();
    let arguments = ["-m", "wsgidav.server.server_cli", "--config", &config];
    let mut dav = server(&home, &arguments, address);
    let secrets_file = secrets(
        &home,
        &format!("username = \"anna\"\npassword = \"{PASSWORD}\"\n"),
    );
    let uri = format!("webdav+http://{address}/?secrets={secrets_file}");
    is_a_backup(&home, &uri);
    let bench = Bench::start(&home, &uri, &[]);
    bench.has_written(0);
    gives_no_wrong_bytes(&bench, &directory);

    dav.kill();
    let late = bench.archive.put(b"$ORIGIN late.id\n").unwrap();
    until("the failure to be noticed", || {
        let status = bench.status();
        (status.problem.is_some() && status.waiting == 1).then_some(())
    });
    let shown = format!("{:?}", bench.status());
    assert!(!shown.contains(PASSWORD), "{shown}");
    let _dav = server(&home, &arguments, address);
    bench.has_written(1);
    assert_eq!(bench.status().problem, None);
    assert!(place(&directory, &late).is_file());
}

#[test]
fn a_web_server_is_only_read() {
    let home = Home::new();
    let directory = home.folder("www");
    let copies = format!("fs:{}", directory.display());
    Bench::start(&home, &copies, &files()).has_written(3);
    let address = free_address();
    let (port, root) = (address.port().to_string(), directory.display().to_string());
    let arguments = [
        "-m",
        "http.server",
        &port,
        "--bind",
        "127.0.0.1",
        "--directory",
        &root,
    ];
    let mut www = server(&home, &arguments, address);
    let bench = Bench::start(&home, &format!("http://{address}/"), &[]);
    gives_no_wrong_bytes(&bench, &directory);
    bench.archive.put(b"$ORIGIN later.id\n").unwrap();
    let status = bench.status();
    assert_eq!((status.written, status.waiting), (0, 0));
    assert_eq!(status.problem, None, "it can be read again");
    www.kill();
    assert!(!bench.backups.are_down());
    let fetch = || {
        bench
            .runtime
            .block_on(bench.backups.fetch(&ZonefileHash([7; 20])))
    };
    assert_eq!(fetch(), Err(Unanswered::Failed), "down is not absent");
    assert_eq!(fetch(), Err(Unanswered::Skipped));
    assert!(bench.backups.are_down() && bench.status().problem.is_some());
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let home = Home::new();
    let path = secrets(&home, "password = \"hunter2\"\nother = 1\n");
    let config: BackupConfig = format!("https://host/?secrets={path}").parse().unwrap();
    let refused = || {
        let opened = Backups::open(std::slice::from_ref(&config));
        opened.err().expect("it is refused").to_string()
    };
    let error = refused();
    assert!(
        error.contains("KEY = \"VALUE\"") && !error.contains(PASSWORD),
        "{error}"
    );
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(refused().contains("chmod 600"));
    fs::remove_file(&path).unwrap();
    assert!(refused().contains(&path));
}
