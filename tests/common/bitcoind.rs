//! The real Bitcoin Core for tests: found, or built once from the source that a crate carries.
//!
//! [`bitcoind`] is the one way to it: `BITCOIND_EXE`, then the `PATH`, then the user's cache directory, and
//! where that is empty a build of some minutes with output to a log file. [`Node`] is a running one, in regtest
//! and in a scratch directory.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bitcoincore_rpc::{Auth, Client, RpcApi as _};
use serde_json::{Value, json};

/// How Bitcoin Core is configured: what the tests need and nothing else.
const CONFIGURATION: [&str; 11] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DENABLE_WALLET=OFF",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_TX=OFF",
    "-DBUILD_UTIL=OFF",
    "-DENABLE_IPC=OFF",
    "-DBUILD_BITCOIN_BIN=OFF",
    "-DENABLE_EXTERNAL_SIGNER=OFF",
    "-DWITH_ZMQ=OFF",
    "-DWITH_EMBEDDED_ASMAP=OFF",
    "-DINSTALL_MAN=OFF",
];
/// What Debian calls the parts that a build needs, and how each is noticed.
const PARTS: [(&str, &[&str]); 5] = [
    ("cmake", &["cmake", "--version"]),
    ("g++", &["c++", "--version"]),
    ("pkg-config", &["pkg-config", "--version"]),
    ("libevent-dev", &["pkg-config", "--exists", "libevent"]),
    (
        "libboost-dev",
        &[
            "sh",
            "-c",
            "echo '#include <boost/multi_index_container.hpp>' | c++ -E -x c++ -",
        ],
    ),
];
/// The crate that carries the source, as tests/bitcoind/Cargo.toml names it.
const CRATE: &str = "libbitcoinkernel-sys";

/// Path of a `bitcoind` that runs.
pub fn bitcoind() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        env::var_os("BITCOIND_EXE")
            .map(PathBuf::from)
            .or_else(in_path)
            .unwrap_or_else(built)
    })
}

fn in_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join("bitcoind"))
        .find(|file| file.is_file())
}

/// The one in the cache, built if it is not there. Processes that come together build once.
fn built() -> PathBuf {
    let (version, source) = locate_source();
    let cache = cache_directory().join(format!("bnsd/bitcoind-{version}"));
    let wanted = cache.join("bin/bitcoind");
    fs::create_dir_all(&cache).expect("the cache directory can be made");
    let lock = File::create(cache.join("lock")).expect("the cache directory can be written");
    lock.lock().expect("a lock");
    if !wanted.is_file() {
        let build = Build {
            source,
            cache,
            lock,
        };
        build.run();
    }
    wanted
}

/// Makes the programs in a folder of the cache.
///
/// What a run left there that was killed is built upon, as some machines end every command long before the last
/// file is compiled. A file that was half written then fails the build, which begins anew once.
struct Build {
    source: PathBuf,
    cache: PathBuf,
    /// The compilers hold it too: they outlive a test that is killed, and nobody else may build beside them.
    lock: File,
}

impl Build {
    fn run(&self) {
        let missing = missing_parts();
        assert!(
            missing.is_empty(),
            "bitcoind has to be built and these Debian packages are missing: {}; install them, or set BITCOIND_EXE",
            missing.join(" ")
        );
        let log = self.log();
        // Not by a macro: the test harness would show that at the end.
        let notice = format!(
            "building bitcoind, which takes some minutes once; see {}\n",
            log.display()
        );
        let _ = io::stderr().write_all(notice.as_bytes());
        let is_begun = self.folder().exists();
        let is_built = self.compile() || is_begun && self.begin_anew() && self.compile();
        assert!(
            is_built,
            "building bitcoind failed, see {}; set BITCOIND_EXE to use another one",
            log.display()
        );
        self.keep();
    }

    fn compile(&self) -> bool {
        let mut configure = Command::new("cmake");
        configure.arg("-S").arg(&self.source).arg("-B");
        configure.arg(self.folder()).args(CONFIGURATION);
        let mut compile = Command::new("cmake");
        compile.arg("--build").arg(self.folder()).arg("--parallel");
        compile.arg(env::var("NUM_JOBS").unwrap_or_else(|_| cores()));
        compile.args(["--target", "bitcoind", "bitcoin-cli"]);
        self.succeeds(configure) && self.succeeds(compile)
    }

    fn begin_anew(&self) -> bool {
        fs::remove_dir_all(self.folder()).is_ok()
    }

    /// Takes the programs out of the build, `bitcoind` last: where it is, the build was finished.
    fn keep(&self) {
        let programs = self.cache.join("bin");
        fs::create_dir_all(&programs).expect("a directory");
        for program in ["bitcoin-cli", "bitcoind"] {
            let part = programs.join(format!("{program}.part"));
            fs::copy(self.folder().join("bin").join(program), &part).expect("the build made it");
            fs::rename(&part, programs.join(program)).expect("a rename within a directory");
        }
        fs::remove_dir_all(self.folder()).expect("our own directory");
    }

    fn succeeds(&self, mut command: Command) -> bool {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.expect("the cache directory can be written");
        command
            .stdin(self.lock.try_clone().expect("a handle"))
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log);
        command.status().expect("cmake starts").success()
    }

    fn folder(&self) -> PathBuf {
        self.cache.join("build")
    }

    fn log(&self) -> PathBuf {
        self.cache.join("build.log")
    }
}

fn missing_parts() -> Vec<&'static str> {
    let is_missing = |probe: &[&str]| {
        let mut command = Command::new(probe[0]);
        command.args(&probe[1..]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        !command.status().is_ok_and(|status| status.success())
    };
    let parts = PARTS.iter().filter(|(_, probe)| is_missing(probe));
    parts.map(|(package, _)| *package).collect()
}

fn cores() -> String {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .to_string()
}

/// Version and source directory of the crate, fetched through cargo.
fn locate_source() -> (String, PathBuf) {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bitcoind/Cargo.toml");
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--manifest-path",
    ]);
    let output = command.arg(manifest).output().expect("cargo starts");
    assert!(
        output.status.success(),
        "cargo cannot fetch {CRATE}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo's JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == CRATE);
    let package = package.expect("the manifest names it");
    let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
    let source = manifest.parent().expect("a directory").join("bitcoin");
    (
        package["version"].as_str().expect("a version").to_owned(),
        source,
    )
}

fn cache_directory() -> PathBuf {
    let chosen = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    chosen.map(PathBuf::from).unwrap_or_else(|| {
        let home = env::var_os("HOME").expect("a home directory for the cache");
        PathBuf::from(home).join(".cache")
    })
}

/// A regtest node of its own, stopped when dropped.
pub struct Node {
    directory: PathBuf,
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// How long a node may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(300);

impl Node {
    /// Starts a node in `directory` with these arguments on top.
    pub fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut node = Self {
            directory: directory.to_owned(),
            port: free_port(),
            arguments: Vec::new(),
            child: None,
        };
        fs::create_dir_all(directory).expect("a scratch directory");
        node.start_again(arguments);
        node
    }

    /// Starts the stopped node again, in its place.
    pub fn start_again(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        self.spawn("-regtest");
        self.wait_until_ready();
    }

    /// Starts without waiting until the node serves; `network` is the flag that chooses it.
    pub fn spawn(&mut self, network: &str) {
        assert!(self.child.is_none(), "the node runs already");
        let log = File::create(self.directory.join("stderr")).expect("a file");
        let mut command = Command::new(bitcoind());
        command
            .arg(network)
            .arg(format!("-datadir={}", self.directory.display()))
            .arg(format!("-rpcport={}", self.port))
            .args([
                "-server=1",
                "-listen=0",
                "-dnsseed=0",
                "-fixedseeds=0",
                "-connect=0",
            ])
            .args([
                "-printtoconsole=0",
                "-minrelaytxfee=0",
                "-dbcache=16",
                "-par=1",
            ])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().expect("bitcoind starts"));
    }

    /// Stops in order.
    pub fn stop(&mut self) {
        let stopped: Result<Value, _> = self.client().call("stop", &[]);
        stopped.expect("a running node stops");
        let mut child = self.child.take().expect("it runs");
        child.wait().expect("our child");
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill(); // it may be gone already
            let _ = child.wait();
        }
    }

    /// HOST:PORT of the RPC interface.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The cookie file.
    pub fn cookie(&self) -> PathBuf {
        self.directory.join("regtest/.cookie")
    }

    /// The block directory.
    pub fn blocks(&self) -> PathBuf {
        self.directory.join("regtest/blocks")
    }

    /// A call that has to succeed.
    pub fn call<T: serde::de::DeserializeOwned>(&self, name: &str, arguments: &[Value]) -> T {
        let reply = self.client().call(name, arguments);
        reply.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Height of the best block.
    pub fn height(&self) -> u32 {
        self.call("getblockcount", &[])
    }

    /// Hash of the best chain's block at a height.
    pub fn hash_at(&self, height: u32) -> String {
        self.call("getblockhash", &[json!(height)])
    }

    /// A client with the cookie of now, or with the user that the arguments name.
    pub fn client(&self) -> Client {
        self.try_client().expect("the cookie is there")
    }

    fn try_client(&self) -> Option<Client> {
        let url = format!("http://{}", self.address());
        let given = |name: &str| {
            let mut arguments = self.arguments.iter();
            arguments.find_map(|argument| argument.strip_prefix(name).map(str::to_owned))
        };
        let auth = match (given("-rpcuser="), given("-rpcpassword=")) {
            (Some(user), Some(password)) => Auth::UserPass(user, password),
            _ => Auth::CookieFile(self.cookie()),
        };
        Client::new(&url, auth).ok()
    }

    fn wait_until_ready(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let client = self.try_client();
            if client.is_some_and(|client| client.get_block_count().is_ok()) {
                return;
            }
            let child = self.child.as_mut().expect("it was started");
            if let Some(status) = child.try_wait().expect("our child") {
                let log = fs::read_to_string(self.directory.join("stderr")).unwrap_or_default();
                panic!("bitcoind ended with {status}: {log}");
            }
            assert!(Instant::now() < end, "bitcoind does not get ready");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody takes by chance.
pub fn free_port() -> u16 {
    super::ports::free_address().port()
}
