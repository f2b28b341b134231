//! Open connections of clients, whatever they speak. Their number is bounded: when all places are taken, a new connection
//! takes the place of the least useful one.
//!
//! The least useful connection has no query under way. Among those, the ones whose last message was garbage go first, then
//! those that have asked nothing yet, then those that have, each the longest silent first. So neither slow clients nor those
//! who send garbage can keep others out or drive out a client that has asked before. Only while such clients hold more than
//! half of all places do they go like those that have asked nothing: a new client needs the time to ask.
//!
//! A new connection waits until the one that it replaces is closed, so that no more descriptors are open than places.

mod patience;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

pub use patience::Patient;

use crate::worker::Tasks;

/// Messages of garbage in a row that a client is forgiven; with the next one its connection is closed.
const GARBAGE_MAX: u32 = 3;
/// Patience with a connection that has to close; a task needs no longer to be dropped.
const CLOSING: Duration = Duration::from_millis(100);
/// Pause after a connection could not be accepted, where nobody can be closed for it.
const PAUSE: Duration = Duration::from_millis(50);

/// All open connections.
pub struct Connections {
    max: usize,
    /// Counts starts and queries; stands for time, which would have to be asked for.
    clock: Arc<AtomicU64>,
    open: Mutex<HashMap<u64, Open>>,
    /// Told whenever a connection is closed.
    closed: Notify,
    tasks: Tasks,
}

struct Open {
    activity: Arc<Activity>,
    /// There is none while the connection is being started.
    task: Option<AbortHandle>,
    /// It has to go, and is not gone yet.
    is_leaving: bool,
}

/// What a connection has done, and does.
pub struct Activity {
    clock: Arc<AtomicU64>,
    /// When it last asked something, or began.
    last: AtomicU64,
    has_asked: AtomicBool,
    /// Messages of garbage since it last asked something.
    garbage: AtomicU32,
    /// Shared with every query under way.
    busy: Arc<()>,
}

impl Activity {
    /// A query is under way until the value is dropped.
    #[must_use]
    pub fn begin(&self) -> Arc<()> {
        Arc::clone(&self.busy)
    }

    /// Something was asked that deserves an answer.
    pub fn ask(&self) {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
        self.has_asked.store(true, Ordering::Relaxed);
        self.garbage.store(0, Ordering::Relaxed);
    }

    /// Garbage came in. Gives whether the connection is to be closed for it.
    #[must_use]
    pub fn note_garbage(&self) -> bool {
        self.garbage.fetch_add(1, Ordering::Relaxed) >= GARBAGE_MAX
    }

    /// A number that is another one after each query.
    pub fn progress(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Whether a query is under way.
    pub fn is_busy(&self) -> bool {
        Arc::strong_count(&self.busy) > 1
    }

    fn standing(&self) -> Standing {
        if self.garbage.load(Ordering::Relaxed) > 0 {
            return Standing::Garbage;
        }
        match self.has_asked.load(Ordering::Relaxed) {
            true => Standing::Client,
            false => Standing::New,
        }
    }
}

/// What a connection has shown itself to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Its last message was garbage.
    Garbage,
    /// It has asked nothing yet.
    New,
    /// It has asked something.
    Client,
}

impl Connections {
    /// Room for `max` connections; `name` says what one of them is, for the log.
    pub fn new(max: usize, name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            max: max.max(1),
            clock: Arc::default(),
            open: Mutex::default(),
            closed: Notify::new(),
            tasks: Tasks::new(name),
        })
    }

    /// Waits for a place, which the least useful connection has to leave if there is none.
    pub async fn make_room(&self) {
        loop {
            let closed = self.closed.notified();
            if !self.evict_if_full() {
                return;
            }
            let _ = timeout(CLOSING, closed).await; // then another one is chosen
        }
    }

    /// Makes it possible to accept again after that has failed: if descriptors have run out, the least useful connection
    /// without a query under way has to go.
    pub async fn recover(&self, error: &io::Error) {
        let closed = self.closed.notified();
        let is_out = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
        if !is_out || !evict(&mut self.lock(), self.max, |open| !open.activity.is_busy()) {
            sleep(PAUSE).await;
            return;
        }
        let _ = timeout(CLOSING, closed).await; // accepting fails again if it did not help
    }

    /// Runs the conversation that `converse` makes on a task of its own, in a place of its own.
    pub fn start<F, W>(self: &Arc<Self>, converse: F)
    where
        F: FnOnce(Arc<Activity>) -> W,
        W: Future<Output = ()> + Send + 'static,
    {
        let id = self.clock.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity {
            clock: Arc::clone(&self.clock),
            last: AtomicU64::new(id),
            has_asked: AtomicBool::default(),
            garbage: AtomicU32::default(),
            busy: Arc::default(),
        });
        let open = Open {
            activity: Arc::clone(&activity),
            task: None,
            is_leaving: false,
        };
        self.lock().insert(id, open);
        let conversation = converse(activity);
        let leave = Leave {
            id,
            connections: Arc::clone(self),
        };
        let task = self.tasks.spawn(async move {
            // Its descriptor is closed before its place is free.
            let _leave = leave;
            conversation.await;
        });
        if let Some(open) = self.lock().get_mut(&id) {
            open.task = Some(task);
        }
    }

    /// Ends all connections.
    pub fn close_all(&self) {
        self.tasks.abort_all();
    }

    /// Sends the least useful connection away if all places are taken; whether they are.
    fn evict_if_full(&self) -> bool {
        let mut open = self.lock();
        let is_full = open.len() >= self.max;
        if is_full {
            evict(&mut open, self.max, |_| true);
        }
        is_full
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes all connections on drop; those that are open hold each other.
pub struct CloseAll(pub Arc<Connections>);

impl Drop for CloseAll {
    fn drop(&mut self) {
        self.0.close_all();
    }
}

/// Sends the least useful connection away of those that `may_go`; whether there was one.
fn evict(open: &mut HashMap<u64, Open>, max: usize, may_go: impl Fn(&Open) -> bool) -> bool {
    let is_client =
        |open: &&Open| open.activity.standing() == Standing::Client && !open.activity.is_busy();
    let are_many = open.values().filter(is_client).count() > max / 2;
    let usefulness = |open: &Open| {
        let standing = match open.activity.standing() {
            Standing::Client if are_many => Standing::New,
            other => other,
        };
        (open.activity.is_busy(), standing, open.activity.progress())
    };
    let least = open
        .values_mut()
        .filter(|open| open.task.is_some() && !open.is_leaving && may_go(open))
        .min_by_key(|open| usefulness(open));
    let Some(least) = least else { return false };
    least.is_leaving = true;
    least.task.as_ref().inspect(|task| task.abort());
    true
}

/// Gives the place back, also when the task is aborted.
struct Leave {
    id: u64,
    connections: Arc<Connections>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
        self.connections.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    struct Table(Arc<Connections>, Vec<Arc<Activity>>);

    impl Table {
        fn of(max: usize) -> Self {
            Self(
                Connections::new(max, "a connection of this test"),
                Vec::new(),
            )
        }

        async fn open(&mut self) -> Arc<Activity> {
            self.0.make_room().await;
            self.0.start(|activity| {
                self.1.push(activity);
                pending()
            });
            Arc::clone(self.1.last().expect("a connection"))
        }

        fn kept(&self) -> Vec<bool> {
            let open = self.0.lock();
            let is_open = |activity: &Arc<Activity>| {
                let mut all = open.values();
                all.any(|open| Arc::ptr_eq(&open.activity, activity))
            };
            self.1.iter().map(is_open).collect()
        }
    }

    #[tokio::test]
    async fn the_oldest_idle_connection_goes_first_and_a_busy_one_last() {
        let mut table = Table::of(3);
        let waits = table.open().await.begin();
        table.open().await.ask();
        table.open().await;
        table.open().await;
        assert_eq!(table.kept(), [true, true, false, true]);
        table.open().await;
        assert_eq!(table.kept(), [true, true, false, false, true]);
        drop(waits);
        table.open().await;
        assert_eq!(table.kept(), [false, true, false, false, true, true]);
    }

    #[tokio::test]
    async fn garbage_goes_before_those_who_are_silent() {
        let mut table = Table::of(4);
        table.open().await.ask();
        table.open().await;
        for garbage in 1..=GARBAGE_MAX {
            let is_over = table.open().await.note_garbage();
            assert!(!is_over, "{garbage}");
        }
        assert_eq!(table.kept(), [true, true, false, true, true]);
        let stranger = Arc::clone(&table.1[4]);
        let over: Vec<bool> = (0..GARBAGE_MAX).map(|_| stranger.note_garbage()).collect();
        assert_eq!(over, [false, false, true]);
        stranger.ask();
        assert!(!stranger.note_garbage(), "what was asked makes up for it");
    }

    #[tokio::test]
    async fn those_who_have_asked_keep_half_of_the_places() {
        let mut table = Table::of(4);
        for _ in 0..3 {
            table.open().await.ask();
        }
        table.open().await;
        table.open().await;
        assert_eq!(table.kept(), [false, true, true, true, true]);
        table.open().await;
        assert_eq!(table.kept(), [false, true, true, false, true, true]);
    }

    #[tokio::test]
    async fn a_lack_of_descriptors_closes_an_idle_connection() {
        let mut table = Table::of(9);
        let _waits = table.open().await.begin();
        table.open().await;
        let out = io::Error::from_raw_os_error(libc::EMFILE);
        table.0.recover(&out).await;
        assert_eq!(table.kept(), [true, false]);
        table.0.recover(&out).await;
        assert_eq!(table.kept(), [true, false]);
    }
}
