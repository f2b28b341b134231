//! The sockets that launchd bound for us (launch_activate_socket(3)): those that the plist calls `dns`.
//!
//! The call compiles, and has not been run on a Mac yet.

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::ptr::null_mut;
use std::slice;

use anyhow::Context as _;

use crate::dns::Inherited;

/// What the sockets are called.
const NAME: &CStr = c"dns";

unsafe extern "C" {
    fn launch_activate_socket(
        name: *const c_char,
        descriptors: *mut *mut c_int,
        count: *mut usize,
    ) -> c_int;
}

/// Takes the sockets that were handed over; `None` if there are none.
pub fn take() -> anyhow::Result<Option<Inherited>> {
    let (mut list, mut count) = (null_mut(), 0);
    // SAFETY: the name ends with a zero. Without an error, launchd has written a list of `count` descriptors, which is ours
    // to read and to free, and which it hands over once: then nobody else has these descriptors (launch_activate_socket(3)).
    let (error, descriptors) = unsafe {
        let error = launch_activate_socket(NAME.as_ptr(), &raw mut list, &raw mut count);
        let numbers = match error == 0 && !list.is_null() {
            true => slice::from_raw_parts(list, count),
            false => &[],
        };
        let owned = numbers.iter().map(|number| OwnedFd::from_raw_fd(*number));
        let owned: Vec<OwnedFd> = owned.collect();
        libc::free(list.cast());
        (error, owned)
    };
    match error {
        0 if descriptors.is_empty() => Ok(None),
        0 => Ok(Some(Inherited::new(descriptors)?)),
        // Nobody hands sockets over, or it was not launchd that started us.
        libc::ENOENT | libc::ESRCH | libc::EALREADY => Ok(None),
        error => Err(io::Error::from_raw_os_error(error))
            .context("launchd did not hand over its sockets: correct `Sockets` in the plist"),
    }
}
