//! Keeps what a process holds in memory out of core files and away from other processes of the same user.

/// Forbids core files and, on Linux, reading this process's memory (prctl(2), `PR_SET_DUMPABLE`). Called first
/// by every command that touches keys, and by whoever reads a node's password; where the system refuses, the
/// command goes on without.
pub fn forbid_dumps() {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: setrlimit reads the struct that it is given and nothing else (POSIX).
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    #[cfg(target_os = "linux")]
    // SAFETY: this prctl takes a number and touches no memory (prctl(2)).
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)
    };
}
