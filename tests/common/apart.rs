//! A machine of its own inside of a test: a thread with a network and mounts that nobody else sees. Whatever it starts is in
//! them too, and all of it is gone with the last of them.

use super::bitcoind::bitcoind;

/// Runs a scene on one.
pub fn apart(scene: impl FnOnce() + Send + 'static) {
    bitcoind(); // where there is none its source comes over the network, which a scene does not have
    let apart = std::thread::spawn(move || {
        let flags = libc::CLONE_NEWNET | libc::CLONE_NEWNS;
        // SAFETY: it changes what this thread and those that it starts see of the system, and no memory.
        let left = unsafe { libc::unshare(flags) };
        assert_eq!(left, 0, "a test of machines has to be root");
        scene();
    });
    if let Err(panic) = apart.join() {
        std::panic::resume_unwind(panic);
    }
}
