//! What every user of the machine can read says nothing that is the user's own who runs the daemon.

use std::fs;

use super::socket;
use crate::common::demo::Demo;
use crate::common::home::Home;
use crate::common::http::get;
use crate::common::process::{Process, serve, until};
use crate::common::python;

/// A folder of zone files, an upstream with a customer's number, and a data directory, all below a home.
#[test]
fn paths_and_secrets_stay_on_the_control_socket() {
    let home = Home::new();
    let folder = home.folder("zones of mine");
    fs::write(
        folder.join("later.zone"),
        "$ORIGIN later.id.\n$TTL 60\n@ IN A 192.0.2.7\n",
    )
    .unwrap();
    let folder = folder.display().to_string();
    let environment = [
        ("BNSD_API_LISTEN", "127.0.0.1:0"),
        ("BNSD_ZONEFILES_FOLDERS", folder.as_str()),
        (
            "BNSD_DNS_UPSTREAMS",
            "https://192.0.2.1/customer-4711,https://192.0.2.1/customer-4712,tls://customer-4711.dns.example@192.0.2.1",
        ),
        ("BNSD_CHAIN_SOURCE", "dev"),
    ];
    let mut daemon: Process = serve(&home, &environment);
    let control = home.state().join("control.sock");
    let told = until("the waiting file", || {
        let status = daemon.ready(&control);
        (!status.zonefiles.waiting.is_empty()).then_some(status)
    });
    assert!(
        told.zonefiles.waiting[0].file.starts_with(&folder),
        "{told:?}"
    );
    assert!(told.upstreams[0].contains("customer-4711"), "{told:?}");
    let address = told.api_listeners[0].parse().unwrap();
    for target in [
        "/v1/status",
        "/metrics",
        "/v1/info",
        "/v1/explain/later.id",
        "/openapi.json",
    ] {
        let response = get(address, target);
        let text = String::from_utf8(response.body).unwrap();
        for secret in [
            home.path().to_str().unwrap(),
            "customer-471",
            "zones of mine",
        ] {
            assert!(!text.contains(secret), "{target} says {secret}: {text}");
        }
    }
    let status = get(address, "/v1/status").json();
    assert_eq!(status["zonefiles"]["waiting"][0]["file"], "later.zone");
    let upstream = status["upstreams"][0].as_str().unwrap();
    assert!(upstream.starts_with("https://192.0.2.1"), "{upstream}");
    assert!(upstream.contains("/…"), "{upstream}");
    // Two of one server stay apart in the figures.
    let read = python::run(
        &home,
        "read_metrics.py",
        &[&format!("http://{address}/metrics")],
    );
    assert_eq!(read.code, 0, "{read:?}");
}

/// A name from a watched folder is explained by the file's name alone, and nobody learns what others ask for.
#[test]
fn explanations_name_a_file_without_its_place() {
    let home = Home::new();
    let folder = home.folder("mine");
    let text = "$ORIGIN mine.id.\n$TTL 60\n@ IN A 192.0.2.7\n";
    fs::write(folder.join("mine.id.zone"), text).unwrap();
    let mut demo = Demo::start_in(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")),
        home,
        &["--zonefiles", folder.to_str().unwrap()],
    );
    let control = socket(&demo);
    let address = demo.process.ready(&control).api_listeners[0]
        .parse()
        .unwrap();
    // Until the folder is read, the archive alone has the file.
    let source = until("the folder", || {
        let explained = get(address, "/v1/explain/mine.id").json();
        let source = explained["zonefile_source"].clone();
        (source["kind"] == "folder").then_some(source)
    });
    assert_eq!(source["path"], "mine.id.zone", "{source}");
}

#[test]
fn nothing_is_served_where_nothing_is_wanted() {
    let home = Home::new();
    let mut daemon = serve(&home, &[("BNSD_API_LISTEN", "none")]);
    let status = daemon.ready(&home.state().join("control.sock"));
    assert!(status.api_listeners.is_empty(), "{status:?}");
    let shown = home.run(&["status"]).stdout;
    assert!(!shown.contains("status page"), "{shown}");
    let wrong = |value: &str| {
        let mut command = home.bnsd(&["serve", "--check-config"]);
        crate::common::home::ended(command.env("BNSD_API_LISTEN", value))
    };
    assert_eq!(wrong("none").code, 0);
    for (value, part) in [
        ("none,127.0.0.1:1", "stands alone"),
        ("127.0.0.1", "has no port"),
    ] {
        crate::common::home::is_one_sentence(&wrong(value), 2, &["BNSD_API_LISTEN", part]);
    }
    let open = wrong("0.0.0.0:6270");
    assert!(
        open.stdout.contains("answers everybody who reaches it"),
        "{open:?}"
    );
}
