//! The HTTP API: what it says, whom it answers, and what nobody is told.

mod figures;
mod private;
mod reference;
mod refused;
mod schema;

use std::net::SocketAddr;
use std::path::PathBuf;

use bnsd::api::message::{Reply, Request};
use bnsd::api::status::StatusRequest;

use crate::common::demo::Demo;
use crate::common::home::Home;
use crate::common::http::get;
use crate::common::process::{Process, ask, serve, until};

/// A demo with an API on a port of its own.
fn demo() -> (Demo, SocketAddr) {
    let mut demo = Demo::start(&[]);
    let status = demo.process.ready(&socket(&demo));
    let address = status.api_listeners[0].parse().expect("an address");
    (demo, address)
}

fn socket(demo: &Demo) -> PathBuf {
    demo.home.state().join("demo/control.sock")
}

#[test]
fn the_status_is_that_of_the_control_socket() {
    let (demo, address) = demo();
    let request = Request::Status(StatusRequest::default());
    let Some(Reply::Status(told)) = ask(&socket(&demo), &request) else {
        panic!("no status");
    };
    let response = get(address, "/v1/status");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let mut shown = response.json();
    let mut told = serde_json::to_value(told).unwrap();
    // The chain of the demo is in a home directory, which is nobody's business.
    assert_eq!(shown["source"], "embedded regtest chain");
    for changing in [
        "source",
        "uptime_seconds",
        "memory_bytes",
        "names_in_memory",
        "queries",
        "tip_age_seconds",
    ] {
        assert!(shown[changing] != serde_json::Value::Null, "{changing}");
        shown[changing] = told[changing].clone();
    }
    told["zonefiles"] = shown["zonefiles"].clone();
    assert_eq!(shown, told);
}

#[test]
fn records_are_those_that_a_dns_client_gets() {
    let (_demo, address) = demo();
    let lookup = get(address, "/v1/lookup/werner.id?type=MX").json();
    assert_eq!(lookup["rcode"], "NOERROR");
    assert_eq!(lookup["type"], "MX");
    assert_eq!(lookup["records"][0]["type"], "MX");
    let explain = get(address, "/v1/explain/werner.id").json();
    assert_eq!(explain["decision"]["side"], "bns");
    assert_eq!(explain["registered_name"], "werner.id");
    let nobody = get(address, "/v1/subdomains/bar.werner.id").json();
    assert!(
        nobody["subdomain"].is_null() && nobody["current"].is_boolean(),
        "{nobody}"
    );
    for path in [
        "/v1/lookup/werner.id?type=NOTHING",
        "/v1/subdomains/werner.id",
    ] {
        let wrong = get(address, path);
        assert_eq!(wrong.status, 400, "{path}");
        assert!(wrong.json()["error"].is_string());
    }
}

/// Without a port of its own the daemon goes on, and whoever looks for the page learns why there is none.
#[test]
fn a_status_says_that_the_port_of_the_page_is_taken() {
    let _taken = std::net::TcpListener::bind("127.0.0.1:6270"); // or somebody else has it
    let home = Home::new();
    let mut command = home.bnsd(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("BNSD_CHAIN_SOURCE", "dev");
    let mut daemon = Process::start(&home, command);
    let status = daemon.ready(&home.state().join("control.sock"));
    assert!(status.api_listeners.is_empty(), "{status:?}");
    assert_eq!(status.api_taken, ["127.0.0.1:6270"]);
    let sentence = "port 6270 on 127.0.0.1 is taken";
    let is_said = |text: &String| text.starts_with(sentence);
    assert!(status.warnings.iter().any(is_said), "{status:?}");
    let shown = home.run(&["status"]).stdout;
    assert!(shown.contains("none, 127.0.0.1:6270 is taken"), "{shown}");
    assert!(shown.contains(&format!("warning: {sentence}")), "{shown}");
}

/// One socket for both families knows the IPv4 address at which it was reached.
#[test]
fn an_address_of_ipv4_reaches_a_listener_of_both_families() {
    let home = Home::new();
    let mut daemon = serve(&home, &[("BNSD_API_LISTEN", "[::]:0")]);
    let status = daemon.ready(&home.state().join("control.sock"));
    let address: SocketAddr = status.api_listeners[0].parse().unwrap();
    // Connecting nowhere says which address this machine would use; nothing is sent.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = match socket.connect("192.0.2.1:9") {
        Ok(()) => socket.local_addr().unwrap().ip(),
        Err(_) => [127, 0, 0, 1].into(),
    };
    assert_eq!(get((own, address.port()).into(), "/v1/status").status, 200);
}

/// A second demo finds 6270 taken; somebody who asks for a taken port is told.
#[test]
fn a_taken_port_is_another_one_or_an_error() {
    let (first, address) = demo();
    let second = Demo::start(&[]);
    let page = until("the page", || {
        let text = second.process.stdout();
        let (_, rest) = text.split_once("The status page is on http://")?;
        rest.split_once('/')?.0.parse::<SocketAddr>().ok()
    });
    assert_ne!(page, address);
    assert_eq!(get(page, "/v1/status").status, 200);
    let mut command = second.home.bnsd(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("BNSD_API_LISTEN", address.to_string());
    let ended = crate::common::home::ended(&mut command);
    let parts = ["is taken", "set `api.listen`"];
    crate::common::home::is_one_sentence(&ended, 3, &parts);
    drop(first);
}
