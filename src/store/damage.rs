//! The door to the database: every read and every write goes through [`Damage::pass`].
//!
//! What was found to be damaged once is never asked again. redb stops with a panic where a page is not what it expects,
//! and what it was holding then is in no known state; a file with one page that changed by itself may have more of them.
//! So the first finding closes the door: from then on every call is the same error, whoever makes it, until the database
//! is opened again. A panic inside ends here and prints nothing.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Once, OnceLock};

use super::error::{Result, StoreError};

/// What is said of a panic; its own message may hold anything.
pub(super) const SENSELESS: &str = "redb cannot make sense of it";

thread_local! {
    /// How many calls of [`contain`] this thread is in.
    static CONTAINED: Cell<u32> = const { Cell::new(0) };
}

/// What was found to be damaged; shared by all who use a database.
#[derive(Debug, Default)]
pub(super) struct Damage {
    found: OnceLock<String>,
}

impl Damage {
    /// What was found first, if anything was.
    pub(super) fn found(&self) -> Option<&str> {
        self.found.get().map(String::as_str)
    }

    /// Closes the door.
    pub(super) fn note(&self, detail: &str) {
        let _ = self.found.set(detail.to_owned()); // the first finding stays
    }

    /// Does `work` with the database, unless it is damaged. An error of `work` about damage closes the door, and so does
    /// a panic.
    pub(super) fn pass<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        if self.found().is_some() {
            return Err(self.error());
        }
        match contain(work) {
            Some(Err(StoreError::Corrupt { table, key })) => {
                self.note(&format!("the row \"{key}\" of table {table}"));
                Err(StoreError::Corrupt { table, key })
            }
            Some(Err(_)) if self.found().is_some() => Err(self.error()),
            Some(result) => result,
            None => {
                self.note(SENSELESS);
                Err(self.error())
            }
        }
    }

    fn error(&self) -> StoreError {
        let detail = self.found().unwrap_or(SENSELESS);
        StoreError::Damaged(detail.to_owned())
    }
}

/// Something of redb until it is let go of. Letting go of it panics once it is in no known state, and a second panic beside
/// the first would end the program: after damage it is left as it is.
pub(super) struct Held<T> {
    held: Option<T>,
    damage: Arc<Damage>,
}

impl<T> Held<T> {
    pub(super) fn new(held: T, damage: &Arc<Damage>) -> Self {
        Self {
            held: Some(held),
            damage: Arc::clone(damage),
        }
    }

    /// What was held, for somebody else to let go of.
    pub(super) fn release(mut self) -> T {
        let held = self.held.take();
        held.expect("it is held until this is dropped")
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let held = self.held.as_ref();
        held.expect("it is held until this is dropped")
    }
}

impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        let held = self.held.as_mut();
        held.expect("it is held until this is dropped")
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take()
            && self.damage.found().is_some()
        {
            std::mem::forget(held);
        }
    }
}

/// Does `work`; gives `None`, and prints nothing, if it panics. What it held must not be used again then.
pub(super) fn contain<R>(work: impl FnOnce() -> R) -> Option<R> {
    silence();
    CONTAINED.with(|depth| depth.set(depth.get() + 1));
    let result = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.with(|depth| depth.set(depth.get() - 1));
    result.ok()
}

/// From the first call on, panics inside of [`contain`] are not reported.
fn silence() {
    static SILENCED: Once = Once::new();
    SILENCED.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            if CONTAINED.with(Cell::get) == 0 {
                report(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_finding_closes_the_door() {
        let damage = Damage::default();
        assert_eq!(damage.pass(|| Ok(1)).expect("it is open"), 1);
        let failed = damage.pass(|| -> Result<()> { Err(StoreError::NothingToUndo) });
        assert!(matches!(failed, Err(StoreError::NothingToUndo)));
        assert!(damage.found().is_none(), "not every error is damage");
        let panicked = damage.pass(|| -> Result<()> { panic!("on purpose") });
        assert!(matches!(panicked, Err(StoreError::Damaged(_))));
        let later = damage.pass(|| Ok(1));
        assert!(matches!(later, Err(StoreError::Damaged(detail)) if detail == SENSELESS));
    }
}
