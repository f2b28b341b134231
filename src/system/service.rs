//! The unit files that the program carries, as systemd wants them: the service and the sockets that it serves on.

use std::path::Path;

use super::{Changes, Content, command};

/// The units in the order in which they are started, each with what starts it with the machine; `systemctl enable` makes the
/// same links.
const UNITS: [(&str, &str, &str); 2] = [
    (
        "bnsd.socket",
        include_str!("../../systemd/bnsd.socket"),
        "sockets.target.wants",
    ),
    (
        "bnsd.service",
        include_str!("../../systemd/bnsd.service"),
        "multi-user.target.wants",
    ),
];
/// Where they go.
const DIRECTORY: &str = "etc/systemd/system";
/// The program in them.
const PROGRAM: &str = "/usr/bin/bnsd";

/// The units for the program at `program`, enabled and started.
pub fn changes(program: &Path) -> Changes {
    let mut changes = Changes::default();
    let program = program.display().to_string();
    let systemctl = |words: &[&str]| command(&[&["systemctl"], words].concat());
    changes.then.push(systemctl(&["daemon-reload"]));
    for (name, text, wants) in UNITS {
        let path = format!("{DIRECTORY}/{name}");
        changes.file(&path, &text.replace(PROGRAM, &program));
        let link = format!("{DIRECTORY}/{wants}/{name}");
        changes.put(&link, Content::Link("/".to_owned() + &path));
        changes.then.push(systemctl(&["start", name]));
    }
    // In one step: a query that comes in between would start the service again.
    let names = UNITS.map(|(name, ..)| name);
    let stop = systemctl(&[&["stop"], &names[..]].concat());
    changes.before_undoing = vec![stop];
    changes.after_undoing = vec![systemctl(&["daemon-reload"])];
    changes
}
