//! The sockets that systemd bound for us (sd_listen_fds(3)).
//!
//! The unit bnsd.socket calls them `dns`. A manager that gives no names means the same.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail, ensure};

use crate::dns::Inherited;

/// What the sockets are called.
const NAME: &str = "dns";
/// What sd-notify calls those that have no name.
const NAMELESS: &str = "unknown";

/// Takes the sockets that were handed over; `None` if there are none.
pub fn take() -> anyhow::Result<Option<Inherited>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(None);
    }
    let wrong =
        "the service manager passed no descriptors as LISTEN_FDS says: correct what starts bnsd";
    let passed: Vec<(RawFd, String)> = sd_notify::listen_fds_with_names().context(wrong)?.collect();
    for (number, name) in &passed {
        ensure!(*number > 2, "descriptor {number} cannot be passed");
        if name != NAME && name != NAMELESS {
            bail!(
                "descriptor {number} that the service manager passed is called `{name}`, and bnsd takes `{NAME}`: set FileDescriptorName={NAME} in the socket unit"
            );
        }
    }
    // SAFETY: the service manager says that these are ours, sd-notify saw that they are open, and nobody has taken them
    // before, since this happens once.
    let owned = |number| unsafe { OwnedFd::from_raw_fd(number) };
    let descriptors: Vec<OwnedFd> = passed
        .into_iter()
        .map(|(number, _)| owned(number))
        .collect();
    match descriptors.is_empty() {
        true => Ok(None),
        false => Ok(Some(Inherited::new(descriptors)?)),
    }
}
