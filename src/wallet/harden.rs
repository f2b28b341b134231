//! Keeps what a process holds in memory out of core files and away from other processes of the same user.

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids core files and, on Linux, reading this process's memory (prctl(2), `PR_SET_DUMPABLE`). Called first
/// by every command that touches keys, and by whoever reads a node's password; where the system refuses, the
/// command goes on without.
pub fn forbid_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
