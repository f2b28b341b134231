//! All open connections, whatever they speak. Their number is bounded: when all places are taken, a new connection takes
//! the place of the least useful one.
//!
//! The least useful connection has no query under way and has been silent for longest. Slow clients cannot keep new ones
//! out, and a client that waits for its reply keeps its place as long as there is any other connection.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::worker::Tasks;

/// How long a connection may stay open without work. Clients are told (RFC 7828 §3.1).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// All open connections.
pub struct Connections {
    max: usize,
    /// Counts starts and queries; stands for time, which would have to be asked for.
    clock: Arc<AtomicU64>,
    open: Mutex<HashMap<u64, Open>>,
    tasks: Tasks,
}

struct Open {
    activity: Arc<Activity>,
    task: Option<AbortHandle>,
}

/// What a connection has done, and does.
pub struct Activity {
    clock: Arc<AtomicU64>,
    /// When it last asked something.
    last: AtomicU64,
    /// Shared with every query under way.
    busy: Arc<()>,
}

impl Activity {
    /// A query has begun; it ends when the value is dropped.
    #[must_use]
    pub fn begin(&self) -> Arc<()> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
        Arc::clone(&self.busy)
    }

    /// A number that is another one after each query.
    pub fn progress(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Whether a query is under way.
    pub fn is_busy(&self) -> bool {
        Arc::strong_count(&self.busy) > 1
    }

    /// The smaller, the sooner it has to go.
    fn usefulness(&self) -> (bool, u64) {
        (self.is_busy(), self.progress())
    }
}

impl Connections {
    /// Room for `max` connections.
    pub fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            clock: Arc::default(),
            open: Mutex::default(),
            tasks: Tasks::new("a connection of a client"),
        }
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
            busy: Arc::default(),
        });
        self.admit(id, Arc::clone(&activity));
        let conversation = converse(activity);
        let leave = Leave {
            id,
            connections: Arc::clone(self),
        };
        let task = self.tasks.spawn(async move {
            conversation.await;
            drop(leave);
        });
        if let Some(open) = self.lock().get_mut(&id) {
            open.task = Some(task);
        }
    }

    /// Ends all connections.
    pub fn close_all(&self) {
        self.tasks.abort_all();
    }

    /// Takes a place, from the least useful connection if there is none.
    fn admit(&self, id: u64, activity: Arc<Activity>) {
        let mut open = self.lock();
        while open.len() >= self.max {
            let least = open
                .iter()
                .min_by_key(|(_, open)| open.activity.usefulness())
                .map(|(&id, _)| id);
            let Some(evicted) = least.and_then(|id| open.remove(&id)) else {
                break;
            };
            evicted.task.inspect(AbortHandle::abort);
        }
        let task = None;
        open.insert(id, Open { activity, task });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the place back, also when the task is aborted.
struct Leave {
    id: u64,
    connections: Arc<Connections>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_idle_connection_goes_first_and_a_busy_one_last() {
        let connections = Arc::new(Connections::new(3));
        let mut activities = Vec::new();
        let mut start = || {
            connections.start(|activity| {
                activities.push(activity);
                std::future::pending()
            });
        };
        (0..3).for_each(|_| start());
        let open = |activity: &Arc<Activity>| {
            let all = connections.lock();
            all.values()
                .any(|open| Arc::ptr_eq(&open.activity, activity))
        };
        let _waits = activities[0].begin();
        drop(activities[1].begin());
        connections.start(|_| std::future::pending());
        let kept: Vec<bool> = activities.iter().map(open).collect();
        assert_eq!(kept, [true, true, false]);
        connections.start(|_| std::future::pending());
        let kept: Vec<bool> = activities.iter().map(open).collect();
        assert_eq!(kept, [true, false, false]);
    }
}
