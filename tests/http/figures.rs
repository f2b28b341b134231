//! `/metrics`: it counts, a parser that is not ours reads it, and it says nothing private.

use hickory_proto::rr::RecordType;

use super::demo;
use crate::common::dns::{query, udp};
use crate::common::http::get;
use crate::common::python;

/// The value of a figure with these labels, or without any.
fn figure(text: &str, name: &str) -> Option<f64> {
    let mut lines = text.lines();
    let line = lines.find(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn figures_follow_what_happens() {
    let (demo, address) = demo();
    let scrape = || {
        let response = get(address, "/metrics");
        assert_eq!(response.status, 200, "{response:?}");
        let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(response.header("content-type"), Some(media_type));
        String::from_utf8(response.body).unwrap()
    };
    let answered = "bnsd_queries_total{outcome=\"answered\"}";
    let before = figure(&scrape(), answered).unwrap();
    for _ in 0..3 {
        udp(demo.server, &query("werner.id", RecordType::A));
    }
    let text = scrape();
    assert_eq!(figure(&text, answered), Some(before + 3.0), "{text}");
    assert!(
        figure(&text, "bnsd_query_duration_seconds_count") >= Some(3.0),
        "{text}"
    );
    let status = get(address, "/v1/status").json();
    assert_eq!(
        figure(&text, "bnsd_chain_height"),
        status["height"].as_f64()
    );
    assert_eq!(figure(&text, "bnsd_names"), status["names"].as_f64());
    for name in [
        "bnsd_names_in_memory",
        "bnsd_names_memory_bytes",
        "bnsd_resident_memory_bytes",
        "bnsd_open_fds",
        "bnsd_max_fds",
        "bnsd_uptime_seconds",
        "bnsd_cache_responses",
        "bnsd_chain_lag_seconds",
        "bnsd_dropped_packets_total",
        "bnsd_zonefiles{state=\"present\"}",
    ] {
        assert!(figure(&text, name).is_some(), "{name} is not in\n{text}");
    }
    assert!(
        !text.contains("werner"),
        "a name that was asked for:\n{text}"
    );
    let version = demo.home.run(&["--version"]).stdout;
    if let Some((_, commit)) = version.trim().trim_end_matches(')').split_once(" (") {
        assert!(text.contains(&format!("commit=\"{commit}\"")), "{text}");
        assert_eq!(get(address, "/v1/ping").json()["commit"], commit);
    }
    let home = demo.home.path().display().to_string();
    assert!(!text.contains(&home), "a path:\n{text}");
    let read = python::run(
        &demo.home,
        "read_metrics.py",
        &[&format!("http://{address}/metrics")],
    );
    assert_eq!(read.code, 0, "{read:?}");
}
