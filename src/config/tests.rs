//! The layers and their messages, through [`Config::load`] with real files.

use std::fs;
use std::time::Duration;

use super::*;

struct Bench {
    directory: tempfile::TempDir,
    sources: Sources,
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let places = Places {
        state: Some(directory.path().join("state")),
        config_file: Some(directory.path().join("bnsd.toml")),
    };
    Bench {
        directory,
        sources: Sources {
            profile: Profile::Serve,
            file: FileChoice::AtItsPlace,
            environment: Vec::new(),
            flags: Vec::new(),
            places,
        },
    }
}

impl Bench {
    fn file(self, text: &str) -> Self {
        fs::write(self.directory.path().join("bnsd.toml"), text).expect("a written file");
        self
    }

    fn environment(mut self, variable: &str, text: &str) -> Self {
        let pair = (variable.to_owned(), text.to_owned());
        self.sources.environment.push(pair);
        self
    }

    fn flag(mut self, key: &'static str, flag: &'static str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.sources.flags.push(Flag { key, flag, values });
        self
    }

    fn load(&self) -> Config {
        Config::load(&self.sources).expect("a valid configuration")
    }

    /// The message of the error, with the scratch directory taken out.
    fn error(&self) -> String {
        let error = Config::load(&self.sources).expect_err("an error");
        let scratch = format!("{}/", self.directory.path().display());
        error.to_string().replace(&scratch, "")
    }
}

fn origin_of(config: &Config, key: &str) -> String {
    let setting = config.settings.iter().find(|setting| setting.key == key);
    setting.expect("every key is shown").origin.to_string()
}

#[test]
fn without_anything_the_built_in_values_are_in_force() {
    let bench = bench();
    let config = bench.load();
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:53", "[::1]:53"]);
    assert_eq!(config.data_dir, bench.directory.path().join("state"));
    assert_eq!(config.control_socket, config.data_dir.join(CONTROL_SOCKET));
    assert_eq!(config.chain.confirmations, 6);
    assert_eq!(config.chain.undo_depth, 100);
    assert_eq!(config.dns.max_ttl, 600);
    assert_eq!(config.dns.max_lag, Duration::from_secs(7200));
    assert!(config.dns.upstreams.is_empty());
    assert!(config.namespaces.is_empty(), "the resolver knows the rest");
    assert!(config.warnings.is_empty());
    assert!(
        config
            .settings
            .iter()
            .all(|setting| setting.origin == Origin::Default)
    );
    assert_eq!(config.settings.len(), key::KEYS.len());
}

#[test]
fn every_key_is_shown_in_the_order_of_the_table() {
    let config = bench().file("[namespaces]\nfoo = \"only\"\n").load();
    let shown: Vec<&str> = config.settings.iter().map(|s| s.key.as_str()).collect();
    let known: Vec<&str> = key::KEYS
        .iter()
        .flat_map(|key| match key.name {
            "namespaces" => vec!["namespaces", "namespaces.foo"],
            name => vec![name],
        })
        .collect();
    assert_eq!(shown, known);
}

#[test]
fn later_layers_win_and_each_value_knows_its_origin() {
    let bench = bench()
        .file("listen = [\"127.0.0.1:1053\"]\n\n[dns]\nmax-ttl = 60\nmax-lag = 90\n")
        .environment("BNSD_DNS_MAX_LAG", "30")
        .environment("BNSD_DNS_UPSTREAMS", "9.9.9.9, [::1]:5353")
        .environment("HOME", "/somewhere")
        .flag("listen", "--listen", &["127.0.0.1:2053"]);
    let config = bench.load();
    assert_eq!(
        config.listen,
        ["127.0.0.1:2053".parse().expect("an address")]
    );
    assert_eq!(config.dns.max_ttl, 60);
    assert_eq!(config.dns.max_lag, Duration::from_secs(30));
    let upstreams: Vec<String> = config
        .dns
        .upstreams
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(upstreams, ["9.9.9.9:53", "[::1]:5353"]);
    assert_eq!(origin_of(&config, "listen"), "--listen");
    assert_eq!(
        origin_of(&config, "dns.max-lag"),
        "environment variable BNSD_DNS_MAX_LAG"
    );
    assert!(origin_of(&config, "dns.max-ttl").ends_with("bnsd.toml:4"));
    assert_eq!(origin_of(&config, "chain.source"), "default");
}

#[test]
fn unknown_keys_name_their_line_and_what_was_probably_meant() {
    let cases = [
        (
            "\nlistn = []\n",
            "bnsd.toml:2: unknown key `listn`; did you mean `listen`?",
        ),
        (
            "[dns]\nmaxttl = 5\n",
            "bnsd.toml:2: unknown key `dns.maxttl`; did you mean `dns.max-ttl`?",
        ),
        (
            "max-ttl = 5\n",
            "bnsd.toml:1: unknown key `max-ttl`; did you mean `dns.max-ttl`?",
        ),
        (
            "[chian]\nsource = \"dev\"\n",
            "bnsd.toml:1: unknown key `chian`; did you mean `chain`?",
        ),
        (
            "[quux]\n",
            "bnsd.toml:1: unknown key `quux`; `bnsd config show` lists all keys",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(bench().file(text).error(), message);
    }
}

#[test]
fn values_that_a_key_cannot_have_are_refused_in_one_sentence() {
    let cases = [
        (
            "listen = \"127.0.0.1:53\"",
            "bnsd.toml:1: `listen`: expected a list of texts in quotes, for example [\"one\", \"two\"]",
        ),
        (
            "listen = []",
            "bnsd.toml:1: `listen`: the list is empty; name at least one address, for example 127.0.0.1:53",
        ),
        (
            "listen = [\"127.0.0.1\"]",
            "bnsd.toml:1: `listen`: \"127.0.0.1\" has no port; write for example 127.0.0.1:53",
        ),
        (
            "data-dir = \"\"",
            "bnsd.toml:1: `data-dir`: the path is empty; name a file or directory",
        ),
        (
            "user = \"a:b\"",
            "bnsd.toml:1: `user`: \"a:b\" is no user name; it has no colon",
        ),
        (
            "sandbox = \"on\"",
            "bnsd.toml:1: `sandbox`: expected true or false without quotes",
        ),
        (
            "[chain]\nsource = \"bitcoin\"",
            "bnsd.toml:2: `chain.source`: \"bitcoin\" is not possible; write one of none, bitcoind, blockfiles, log, final, dev",
        ),
        (
            "[chain]\nsource = \"dev\"\nnetwork = \"mainnet\"",
            "bnsd.toml:3: `chain.network`: the source \"dev\" has only the network \"dev\"; change one of the two",
        ),
        (
            "[atlas]\nlisten = [\"none\", \"127.0.0.1:6264\"]",
            "bnsd.toml:2: `atlas.listen`: \"none\" stands alone; leave it out to listen on the others",
        ),
        (
            "[chain]\nsource = \"log\"",
            "bnsd.toml:2: `chain.source`: the source \"log\" follows at least one log; set `chain.logs` to its directory or URL",
        ),
        (
            "[chain]\nlogs = [\"log\"]",
            "bnsd.toml:2: `chain.logs`: \"log\" is no place of a log: write /PATH, https://HOST/FOLDER or http://HOST/FOLDER",
        ),
        (
            "[chain]\npeers = [\"a b\"]",
            "bnsd.toml:2: `chain.peers`: \"a b\" is no Bitcoin peer: write HOST, HOST:PORT, seeds or none",
        ),
        (
            "[chain]\npeers = [\"none\", \"192.0.2.1\"]",
            "bnsd.toml:2: `chain.peers`: \"seeds\" and \"none\" stand alone; leave them out to name peers",
        ),
        (
            "[chain]\nnetwork = \"regtest\"\npeers = [\"seeds\"]",
            "bnsd.toml:3: `chain.peers`: regtest has no seeds; name peers, or write \"none\"",
        ),
        (
            "[chain]\nproxy = \"localhost:9050\"",
            "bnsd.toml:2: `chain.proxy`: \"localhost:9050\" is no ADDRESS:PORT; write for example 127.0.0.1:9050",
        ),
        (
            "[chain]\naudit = 1001",
            "bnsd.toml:2: `chain.audit`: \"1001\" is no whole number from 0 to 1000",
        ),
        (
            "[chain]\npins = [\"1:2\"]",
            "bnsd.toml:2: `chain.pins`: \"1:2\" is no pin: write HEIGHT:HASH, a consensus hash of 32 hex digits",
        ),
        (
            "[chain]\nsource = \"final\"\nnetwork = \"regtest\"",
            "bnsd.toml:3: `chain.network`: the source \"final\" is the last state of \"mainnet\"; leave `chain.network` out",
        ),
        (
            "[atlas]\npeers = [\"node.example\"]",
            "bnsd.toml:2: `atlas.peers`: \"node.example\" is no address of a peer: write HOST:PORT, 192.0.2.1:6264, or [2001:db8::1]:6264",
        ),
        (
            "[atlas]\nbackups = [\"ftp://x\"]",
            "bnsd.toml:2: `atlas.backups`: \"ftp\" is no backup; write fs:/PATH, s3://BUCKET/FOLDER?region=R&secrets=/PATH, webdav+https://HOST/FOLDER?secrets=/PATH, https://HOST/FOLDER, dropbox:/FOLDER?secrets=/PATH or gdrive:/FOLDER?secrets=/PATH",
        ),
        (
            "[atlas]\nallow = [\"10.0.0.0/33\"]",
            "bnsd.toml:2: `atlas.allow`: \"10.0.0.0/33\" means no peers: write HOST, HOST:PORT or a network such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "[atlas]\ndeny = [\"a b\"]",
            "bnsd.toml:2: `atlas.deny`: \"a b\" means no peers: write HOST, HOST:PORT or a network such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "[atlas]\nproxy = \"localhost:9050\"",
            "bnsd.toml:2: `atlas.proxy`: \"localhost:9050\" is no ADDRESS:PORT; write for example 127.0.0.1:9050",
        ),
        (
            "[dns]\nmax-ttl = -1",
            "bnsd.toml:2: `dns.max-ttl`: \"-1\" is no whole number from 0 to 604800",
        ),
        (
            "[dns]\nmax-ttl = \"1\"",
            "bnsd.toml:2: `dns.max-ttl`: expected a whole number without quotes",
        ),
        (
            "[dns]\nupstreams = [\"127.0.0.1:53\"]",
            "bnsd.toml:2: `dns.upstreams`: 127.0.0.1:53 is where bnsd itself listens; name another resolver",
        ),
        (
            "[tls]\nproxy = \"192.0.2.1:6271\"",
            "bnsd.toml:2: `tls.proxy`: \"192.0.2.1:6271\" is no address of loopback with a port; write for example 127.0.0.1:6271",
        ),
        (
            "[tls]\nusers = [\"a:b\"]",
            "bnsd.toml:2: `tls.users`: \"a:b\" is no user name; it has no colon",
        ),
        (
            "[namespaces]\nid = \"all\"",
            "bnsd.toml:2: `namespaces.id`: \"all\" is not possible; write one of exact, only, legacy-first, off",
        ),
        (
            "[namespaces]\nID = \"off\"",
            "bnsd.toml:2: `namespaces.ID`: \"ID\" is no namespace: only the characters a-z, 0-9, '-' and '_' are allowed",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(bench().file(text).error(), message, "{text}");
    }
}

#[test]
fn what_is_no_toml_names_its_line() {
    let message = bench().file("listen = [\n\"a\n").error();
    assert!(
        message.starts_with("bnsd.toml:2: not valid TOML: "),
        "{message}"
    );
    assert!(!message.contains('\n'), "{message:?}");
}

#[test]
fn a_named_file_has_to_be_there_and_readable() {
    let mut bench = bench();
    bench.sources.file = FileChoice::Named(bench.directory.path().join("other.toml"));
    let message = bench.error();
    assert_eq!(
        message,
        "there is no configuration file other.toml: create it, or leave out --config"
    );
    bench.sources.file = FileChoice::Named(bench.directory.path().to_owned());
    let error = Config::load(&bench.sources).expect_err("a directory is no file");
    assert!(!error.is_wrong_use());
}

#[test]
fn relative_paths_in_the_file_start_at_the_file() {
    let bench = bench().file("data-dir = \"data\"\n[zonefiles]\nfolders = [\"zones\", \"/z\"]\n");
    let config = bench.load();
    assert_eq!(config.data_dir, bench.directory.path().join("data"));
    assert_eq!(
        config.zonefiles.folders,
        [bench.directory.path().join("zones"), "/z".into()]
    );
}

#[test]
fn listening_beyond_loopback_is_said() {
    let config = bench().file("listen = [\"0.0.0.0:53\"]\n").load();
    assert_eq!(config.warnings.len(), 1);
}

#[test]
fn a_misspelt_variable_is_a_warning() {
    let config = bench().environment("BNSD_LISTN", "x").load();
    assert_eq!(
        config.warnings,
        [
            "the environment variable BNSD_LISTN sets nothing: `bnsd config show` lists those that do"
        ]
    );
}

#[test]
fn namespaces_of_all_layers_add_up() {
    let config = bench()
        .file("[namespaces]\nfoo = \"only\"\nbar = \"off\"\n")
        .environment("BNSD_NAMESPACES", "bar=exact,id=off")
        .load();
    let modes: Vec<_> = config.namespaces.iter().collect();
    let shown = format!("{modes:?}");
    assert_eq!(shown, "[(bar, Exact), (foo, Only), (id, Off)]");
}

#[test]
fn clients_try_other_sockets_only_when_none_is_named() {
    let bench = bench();
    let candidates = bench.load().control_candidates(&bench.sources.places);
    assert_eq!(candidates.len(), 3);
    let bench = bench.flag("data-dir", "--data-dir", &["/d"]);
    let candidates = bench.load().control_candidates(&bench.sources.places);
    assert_eq!(candidates, [PathBuf::from("/d/control.sock")]);
}

#[test]
fn a_user_without_home_is_told_to_name_a_directory() {
    let mut bench = bench();
    bench.sources.places = Places::default();
    assert!(matches!(
        Config::load(&bench.sources),
        Err(ConfigError::NoHome)
    ));
    assert!(Config::load(&bench.flag("data-dir", "--data-dir", &["/d"]).sources).is_ok());
}

#[test]
fn routes_and_encrypted_upstreams_are_read() {
    let text = "[dns]\nupstreams = [\"tls://dns.example@192.0.2.1\"]\n[dns.routes]\n\"corp.example\" = [\"10.0.0.53\"]\n";
    let config = bench().file(text).load();
    assert_eq!(
        config.dns.upstreams[0].to_string(),
        "tls://dns.example@192.0.2.1:853"
    );
    assert_eq!(config.dns.routes[0].0.to_string(), "corp.example.");
    assert_eq!(config.dns.routes[0].1[0].to_string(), "10.0.0.53:53");
    assert!(origin_of(&config, "dns.routes.corp.example").ends_with("bnsd.toml:4"));
    let config = bench()
        .environment(
            "BNSD_DNS_ROUTES",
            "a.example=10.0.0.1 10.0.0.2,b.example=10.0.0.3",
        )
        .load();
    let counts: Vec<usize> = config.dns.routes.iter().map(|(_, all)| all.len()).collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn encrypted_and_plain_upstreams_do_not_mix() {
    let text = "[dns]\nupstreams = [\"9.9.9.9\", \"tls://dns.example@192.0.2.1\"]\n";
    let error = bench().file(text).error();
    assert!(error.contains("name one kind"), "{error}");
    let text = "[dns]\nbootstrap = [\"tls://192.0.2.1\"]\n";
    let error = bench().file(text).error();
    assert!(
        error.contains("would need a bootstrap resolver itself"),
        "{error}"
    );
}

#[test]
fn a_gateway_has_an_address_that_clients_can_be_told() {
    let with = |value: &str| format!("[api]\ngateway = \"{value}\"\n");
    let config = bench().file(&with("127.0.62.70:80")).load();
    let expected = "127.0.62.70:80".parse().expect("an address");
    assert_eq!(config.api.gateway, Some(expected));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    // Whatever else listens there would be of the origin of names.
    for shared in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        let warnings = bench().file(&with(shared)).load().warnings;
        let is_named = |text: &String| text.contains("as in 127.0.62.70:80");
        assert!(warnings.iter().any(is_named), "{shared}: {warnings:?}");
    }
    assert_eq!(bench().load().api.gateway, None);
    for (wrong, part) in [
        ("0.0.0.0:80", "stands for all addresses"),
        ("[::]:80", "stands for all addresses"),
        ("127.0.0.1", "has no port"),
        ("me.id:80", "is no ADDRESS:PORT"),
    ] {
        let error = bench().file(&with(wrong)).error();
        assert!(error.contains(part), "{wrong}: {error}");
    }
}
