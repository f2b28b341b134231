//! Browsers and programs open the site of a name without an authority that anybody has heard of, and refuse everything that
//! its owner has not signed. The pictures stay in `target/tmp/web`.

use std::path::{Path, PathBuf};

use super::firefox::Firefox;
use super::machine::{Machine, NAME, on_a_machine};
use super::root::{Root, Signer};
use super::site::{Keys, Shown, serve};
use crate::common::browser::Browser;
use crate::common::process::Process;

/// The server sends its leaf with the authority's own certificate, and alone.
const OPENED: [&str; 2] = ["https://me.id/", "https://me.id:8443/"];
/// A name that nobody has asked for when the browser runs. Its server sends its leaf alone.
const NEW: &str = "you.id";
/// A server with somebody else's keys, in the same ways; then certificates signed with the key of this machine's root.
const REFUSED: [(&str, Why); 7] = [
    ("https://me.id:9443/", Why::Stranger),
    ("https://me.id:9444/", Why::Stranger),
    ("https://bca.co.id/", Why::Outside),
    ("https://google.com/", Why::Outside),
    ("https://127.0.0.1/", Why::Outside),
    ("https://bca.co.id:8443/", Why::Outside),
    ("https://google.com:8443/", Why::Outside),
];

/// Where these are shown, for whom, their subject, and who signed them.
const FORGED: [(&str, &str, &str, Signer); 5] = [
    ("443", "bca.co.id", "DNS:bca.co.id", Signer::Root),
    ("443", "google.com", "DNS:google.com", Signer::Root),
    ("127.0.0.1:443", "127.0.0.1", "IP:127.0.0.1", Signer::Root),
    ("8443", "bca.co.id", "DNS:bca.co.id", Signer::Below),
    ("8443", "google.com", "DNS:google.com", Signer::Below),
];

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Nobody who is known has signed it.
    Stranger,
    /// The root may not speak for it.
    Outside,
}

/// Starts the servers.
fn set(machine: &Machine) -> Process {
    let [own, other, new] = [(NAME, "own"), (NAME, "other"), (NEW, "new")]
        .map(|(name, directory)| Keys::make(machine, name, directory));
    let root = Root::stolen(machine);
    own.publish(machine);
    new.publish(machine);
    let of_name = |listen, keys: &Keys, file| Shown {
        listen,
        host: NAME,
        certificates: keys.file(file),
        key: keys.file("leaf.key"),
    };
    let mut sites = vec![
        Shown {
            host: NEW,
            ..of_name("443", &new, "leaf.pem")
        },
        of_name("8443", &own, "leaf.pem"),
        of_name("9443", &other, "leaf.pem"),
        of_name("9444", &other, "chain.pem"),
    ];
    for (listen, host, subject, by) in FORGED {
        let name = format!("{host}-{}", sites.len());
        let [certificates, key] = root.forge(machine, &name, subject, by);
        sites.push(Shown {
            listen,
            host,
            certificates,
            key,
        });
    }
    serve(machine, Some(&own), &sites)
}

fn picture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("web");
    path.join(name).with_extension("png")
}

#[test]
fn chromium_shows_the_lock_and_refuses_what_its_owner_has_not_signed() {
    on_a_machine(|machine| {
        let _nginx = set(machine);
        let start = || Browser::start_as(|program, words| machine.as_person(program, words));
        let before = start();
        for url in OPENED {
            let refused = before.refusal(url);
            assert_eq!(refused.as_deref(), Some("net::ERR_CERT_AUTHORITY_INVALID"));
        }
        drop(before);
        let _agents = machine.trust();
        let browser = start();
        for (at, url) in OPENED.iter().enumerate() {
            browser.open(url);
            assert_eq!(browser.evaluate("document.title"), "the page of its owner");
            assert_eq!(browser.security(), "secure", "{url}");
            browser.photograph(&picture(&format!("chromium-{at}")));
        }
        for (url, why) in REFUSED {
            let said = match why {
                Why::Stranger => "net::ERR_CERT_AUTHORITY_INVALID",
                Why::Outside => "net::ERR_CERT_INVALID",
            };
            assert_eq!(browser.refusal(url).as_deref(), Some(said), "{url}");
        }
        browser.wait_for("document.body?.innerText.includes('ERR_CERT_INVALID') ?? false");
        browser.photograph(&picture("chromium-refuses"));
        keys_stayed_where_they_are(machine);
    });
}

/// Keys of the owner and of this machine are for nobody else to read, and nothing of them is in a log, a store or the home of
/// the person, though everything was logged that can be.
fn keys_stayed_where_they_are(machine: &Machine) {
    let files = ["own/authority.key", "own/leaf.key", "data/trust/root.key"];
    let files = files.map(|file| machine.world.path(file).display().to_string());
    let logs = machine.world.path("daemon.log").display().to_string();
    let line = r#"
log=$1
shift
for key in "$@"; do
    [ "$(stat -c %a "$key")" = 600 ]
    sed -n 2p "$key" >>/mnt/secrets
done
[ "$(grep -c ..... /mnt/secrets)" = $# ]
[ -s "$log" ]
! grep -rlF -f /mnt/secrets "$log" "$HOME"/output-* /mnt/reader /etc/ssl /usr/local/share/ca-certificates
"#;
    let [authority, leaf, root] = &files;
    machine.does(line, &[&logs, authority, leaf, root]);
}

#[test]
fn firefox_shows_the_lock_and_refuses_what_its_owner_has_not_signed() {
    on_a_machine(|machine| {
        let _nginx = set(machine);
        let mut before = Firefox::start(machine); // makes a profile
        for url in OPENED {
            let refused = before.refusal(url);
            assert_eq!(refused.as_deref(), Some("SEC_ERROR_UNKNOWN_ISSUER"));
        }
        drop(before);
        let _agents = machine.trust();
        let mut firefox = Firefox::start(machine);
        for (at, url) in OPENED.iter().enumerate() {
            assert_eq!(firefox.refusal(url), None, "{url}");
            let title = firefox.evaluate("return document.title + window.isSecureContext");
            assert_eq!(title, "the page of its ownertrue");
            firefox.photograph(&picture(&format!("firefox-{at}")));
        }
        // It asks nobody for the authority, so that this has to be there before the answer with the address is.
        assert_eq!(firefox.refusal(&format!("https://{NEW}/")), None);
        for (url, why) in REFUSED {
            let said = match why {
                Why::Stranger => "SEC_ERROR_UNKNOWN_ISSUER",
                Why::Outside => "SEC_ERROR_CERT_NOT_IN_NAME_SPACE",
            };
            assert_eq!(firefox.refusal(url).as_deref(), Some(said), "{url}");
        }
        firefox.photograph(&picture("firefox-refuses"));
    });
}

/// Who trusts the root and runs no agent: Chromium fetches the authority from where each leaf says.
#[test]
fn chromium_without_an_agent_finds_the_authority_by_itself() {
    on_a_machine(|machine| {
        let _nginx = set(machine);
        machine.install_root();
        let browser = Browser::start_as(|program, words| machine.as_person(program, words));
        for url in OPENED {
            browser.open(url);
            assert_eq!(browser.security(), "secure", "{url}");
        }
    });
}

/// A program, the line that opens an address with it, and what it says of a certificate that it does not believe.
const PROGRAMS: [(&str, &str, &str); 4] = [
    (
        "curl",
        "curl --silent --show-error --fail \"$1\"",
        "curl: (60) SSL certificate problem",
    ),
    (
        "openssl",
        "at=${1#https://}; at=${at%/}; host=${at%:*}; port=${at#$host}; port=${port#:}; \
         kind=hostname; [ $host != 127.0.0.1 ] || kind=ip; \
         openssl s_client -connect $host:${port:-443} -verify_return_error -verify_$kind $host </dev/null",
        "Verification error",
    ),
    (
        "python",
        "python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=30)' \"$1\"",
        "CERTIFICATE_VERIFY_FAILED",
    ),
    (
        "node",
        "node --use-openssl-ca -e 'fetch(process.argv[1]).catch((error) => { console.error(error); process.exit(1); })' \"$1\"",
        "TLSSocket.onConnectSecure",
    ),
];

#[test]
fn curl_openssl_python_and_node_open_it_and_refuse_what_its_owner_has_not_signed() {
    on_a_machine(|machine| {
        let _nginx = set(machine);
        let refuses = |(program, line, why): (&str, &str, &str), url: &str| {
            let ended = machine.run_as_person(line, &[url]);
            let said = ended.stdout.clone() + &ended.stderr;
            assert!(
                ended.code != 0 && said.contains(why),
                "{program} {url}: {ended:?}"
            );
        };
        for program in PROGRAMS {
            OPENED.iter().for_each(|url| refuses(program, url));
        }
        let _agents = machine.trust();
        for program in PROGRAMS {
            for url in OPENED {
                machine.does_as_person(program.1, &[url]);
            }
            REFUSED.iter().for_each(|(url, _)| refuses(program, url));
        }
    });
}
