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
use crate::common::http::get;
use crate::common::process::{ask, until};

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
    assert_eq!(shown["source"], "embedded regtest chain in …");
    for changing in [
        "source",
        "uptime_seconds",
        "memory_bytes",
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
    let wrong = get(address, "/v1/lookup/werner.id?type=NOTHING");
    assert_eq!(wrong.status, 400);
    assert!(wrong.json()["error"].is_string());
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
