//! The unit files that the program carries, as systemd wants them.

use std::path::Path;

use super::{Changes, Content, command};

/// The unit.
const UNIT: &str = include_str!("../../systemd/bnsd.service");
/// Where it goes.
const PATH: &str = "etc/systemd/system/bnsd.service";
/// What starts it with the machine; `systemctl enable` makes the same link.
const WANTED: &str = "etc/systemd/system/multi-user.target.wants/bnsd.service";
/// The program in it.
const PROGRAM: &str = "/usr/bin/bnsd";

/// The unit for the program at `program`, enabled and started.
pub fn changes(program: &Path) -> Changes {
    let mut changes = Changes::default();
    let program = program.display().to_string();
    changes.file(PATH, &UNIT.replace(PROGRAM, &program));
    changes.put(WANTED, Content::Link("/".to_owned() + PATH));
    let systemctl = |words: &[&str]| command(&[&["systemctl"], words].concat());
    changes.then = vec![
        systemctl(&["daemon-reload"]),
        systemctl(&["start", "bnsd.service"]),
    ];
    changes.before_undoing = vec![systemctl(&["stop", "bnsd.service"])];
    changes.after_undoing = vec![systemctl(&["daemon-reload"])];
    changes
}
