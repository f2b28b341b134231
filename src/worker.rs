//! Threads and tasks that have a name and an owner. No other file starts one.
//!
//! A [`Crew`] owns those that the daemon cannot do without: it reports the first that ends unasked, whether it
//! returned or panicked, and stops all of them in order. [`Tasks`] owns short ones, such as a conversation with a
//! client: they end with their owner, and one that panics costs nothing but itself.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// Bytes of stack for a thread, as the standard library's own default.
const STACK: usize = 2 << 20;
/// How often threads that are to end are looked at.
const LOOK: Duration = Duration::from_millis(2);
/// How long a thread that may hang is waited for when all others have ended.
const LOOSE_PATIENCE: Duration = Duration::from_secs(1);

/// A worker ended although nobody had asked it to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the worker \"{name}\" {}, and bnsd cannot do without it: start bnsd again and report what the log says", self.how())]
pub struct Ended {
    /// Name of the worker.
    pub name: String,
    /// Whether it panicked; otherwise it returned.
    pub panicked: bool,
}

impl Ended {
    fn how(&self) -> &'static str {
        match self.panicked {
            true => "failed",
            false => "ended by itself",
        }
    }
}

/// Workers that did not end in time when they were asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} did not stop in time", .0.join(", "))]
pub struct Stuck(pub Vec<String>);

/// The threads and tasks that have to run for as long as their owner.
#[derive(Debug)]
pub struct Crew {
    tasks: JoinSet<()>,
    threads: Vec<JoinHandle<()>>,
    loose: Vec<JoinHandle<()>>,
    report: UnboundedSender<Ended>,
    reports: UnboundedReceiver<Ended>,
}

impl Default for Crew {
    fn default() -> Self {
        let (report, reports) = unbounded_channel();
        Self {
            tasks: JoinSet::new(),
            threads: Vec::new(),
            loose: Vec::new(),
            report,
            reports,
        }
    }
}

impl Crew {
    /// Starts a task that runs until it is aborted by [`Crew::stop`]. Must be called inside of a tokio runtime.
    pub fn task(&mut self, name: &str, work: impl Future<Output = ()> + Send + 'static) {
        let watch = self.watch(name, Duty::Endless);
        self.tasks.spawn(async move {
            let _watch = watch;
            work.await;
        });
    }

    /// Starts a thread that runs until its owner tells it to end.
    pub fn thread(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let watch = self.watch(name, Duty::Endless);
        self.threads.push(start(watch, work)?);
        Ok(())
    }

    /// The same for a thread that the system may not let go of, because it reads what belongs to strangers: a stop does not
    /// wait for it for long, and the end of the process ends it.
    pub fn loose_thread(
        &mut self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let watch = self.watch(name, Duty::Endless);
        self.loose.push(start(watch, work)?);
        Ok(())
    }

    /// Starts a thread that may return when it is done. It must not panic.
    pub fn finite_thread(
        &mut self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let watch = self.watch(name, Duty::Finite);
        self.threads.push(start(watch, work)?);
        Ok(())
    }

    /// Waits for a worker that ends unasked.
    pub async fn ended(&mut self) -> Ended {
        let ended = self.reports.recv().await;
        ended.expect("the crew holds a sender itself")
    }

    /// Aborts the tasks and waits for the threads, which their owners have told to end.
    pub async fn stop(mut self, patience: Duration) -> Result<(), Stuck> {
        self.tasks.shutdown().await;
        wait_for(&self.threads, patience).await;
        wait_for(&self.loose, patience.min(LOOSE_PATIENCE)).await;
        let stuck: Vec<String> = self
            .threads
            .into_iter()
            .filter_map(|thread| match thread.is_finished() {
                true => thread.join().err().and(None), // a panic was reported when it happened
                false => thread.thread().name().map(str::to_owned),
            })
            .collect();
        if stuck.is_empty() {
            Ok(())
        } else {
            Err(Stuck(stuck))
        }
    }

    fn watch(&self, name: &str, duty: Duty) -> Watch {
        Watch {
            name: name.to_owned(),
            duty,
            report: self.report.clone(),
        }
    }
}

/// Returns when all have ended, or after a time.
async fn wait_for(threads: &[JoinHandle<()>], patience: Duration) {
    let end = Instant::now() + patience;
    while Instant::now() < end && threads.iter().any(|thread| !thread.is_finished()) {
        sleep(LOOK).await;
    }
}

/// How long a worker is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    Endless,
    Finite,
}

/// Lives in a worker; reports its end.
struct Watch {
    name: String,
    duty: Duty,
    report: UnboundedSender<Ended>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let panicked = std::thread::panicking();
        if panicked || self.duty == Duty::Endless {
            let name = std::mem::take(&mut self.name);
            let _ = self.report.send(Ended { name, panicked }); // nobody listens once the crew is told to stop
        }
    }
}

fn start(watch: Watch, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let name = watch.name.clone();
    thread(&name, move || {
        let _watch = watch;
        work();
    })
}

/// Does jobs at the same time, each in a thread called `name`, and gives what they return, in their order; `None` of one that
/// panicked.
pub fn together<T: Send>(
    name: &str,
    jobs: impl IntoIterator<Item = impl FnOnce() -> T + Send>,
) -> io::Result<Vec<Option<T>>> {
    std::thread::scope(|scope| {
        let start = |job| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn_scoped(scope, job)
        };
        let started: Vec<_> = jobs.into_iter().map(start).collect::<io::Result<_>>()?;
        Ok(started.into_iter().map(|job| job.join().ok()).collect())
    })
}

/// Starts a thread whose owner joins it.
pub fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.stack_size(STACK).spawn(work)
}

/// Short tasks that end with their owner, which is the last clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    name: &'static str,
    running: Arc<Running>,
}

/// Tasks that have not ended. One that has is forgotten at once: what is kept of thousands would hold far more memory.
#[derive(Debug, Default)]
struct Running(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// A task has no handle yet while it is being started.
    tasks: HashMap<u64, Option<AbortHandle>>,
}

impl Tasks {
    /// None so far; `name` says what one of them is, for the log.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            running: Arc::default(),
        }
    }

    /// Starts one. Must be called inside of a tokio runtime.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let leave = self.enter();
        let number = leave.number;
        let task = tokio::spawn(async move {
            let _leave = leave;
            work.await;
        });
        let handle = task.abort_handle();
        if let Some(place) = self.running.lock().tasks.get_mut(&number) {
            *place = Some(handle.clone());
        }
        handle
    }

    /// Ends all of them.
    pub fn abort_all(&self) {
        self.running.abort_all();
    }

    fn enter(&self) -> Leave {
        let mut table = self.running.lock();
        let number = table.next;
        table.next += 1;
        table.tasks.insert(number, None);
        Leave {
            number,
            name: self.name,
            running: Arc::downgrade(&self.running),
        }
    }
}

impl Running {
    fn abort_all(&self) {
        let handles = self
            .lock()
            .tasks
            .values()
            .flatten()
            .cloned()
            .collect::<Vec<_>>();
        handles.iter().for_each(AbortHandle::abort);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.abort_all();
    }
}

/// Lives in a short task; forgets it at its end, and says so in the log if it failed.
struct Leave {
    number: u64,
    name: &'static str,
    running: Weak<Running>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("{} failed; nothing else is affected", self.name);
        }
        if let Some(running) = self.running.upgrade() {
            running.lock().tasks.remove(&self.number);
        }
    }
}

/// For the tasks that hyper starts itself.
impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, work: F) {
        self.spawn(async move { drop(work.await) });
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn ended(name: &str, panicked: bool) -> Ended {
        let name = name.to_owned();
        Ended { name, panicked }
    }

    #[tokio::test]
    async fn whoever_ends_unasked_is_reported_by_name() {
        let mut crew = Crew::default();
        crew.task("endless", pending());
        crew.finite_thread("done", || {}).expect("a thread");
        crew.task("tired", async {});
        assert_eq!(crew.ended().await, ended("tired", false));
        crew.task("clumsy", async { panic!("on purpose") });
        assert_eq!(crew.ended().await, ended("clumsy", true));
        crew.thread("short", || {}).expect("a thread");
        assert_eq!(crew.ended().await, ended("short", false));
        let panic = || panic!("on purpose");
        crew.finite_thread("broken", panic).expect("a thread");
        let broken = crew.ended().await;
        assert_eq!(broken, ended("broken", true));
        let text = broken.to_string();
        assert!(text.starts_with("the worker \"broken\" failed"), "{text}");
        crew.stop(PATIENCE).await.expect("all have ended");
    }

    #[tokio::test]
    async fn a_stop_waits_for_threads_and_names_those_that_do_not_end() {
        let mut crew = Crew::default();
        let (release, released) = mpsc::channel::<()>();
        let wait = move || {
            let _ = released.recv(); // an error once the other end is gone
        };
        crew.thread("slow", wait).expect("a thread");
        drop(release);
        crew.stop(PATIENCE).await.expect("it ends");

        let mut crew = Crew::default();
        let (_release, released) = mpsc::channel::<()>();
        let wait = move || {
            let _ = released.recv(); // an error once the other end is gone
        };
        crew.thread("stuck", wait).expect("a thread");
        let stuck = crew
            .stop(Duration::ZERO)
            .await
            .expect_err("it does not end");
        assert_eq!(stuck.to_string(), "stuck did not stop in time");
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_a_thread_that_hangs() {
        let mut crew = Crew::default();
        let (_release, released) = mpsc::channel::<()>();
        let wait = move || {
            let _ = released.recv(); // an error once the other end is gone
        };
        crew.loose_thread("hanging", wait).expect("a thread");
        let start = Instant::now();
        crew.stop(PATIENCE).await.expect("it goes without it");
        assert!(start.elapsed() < PATIENCE);
    }

    #[tokio::test]
    async fn short_tasks_end_with_their_owner_and_one_alone_may_panic() {
        let tasks = Tasks::new("a task of this test");
        let (alive, mut ends) = unbounded_channel::<()>();
        tasks.spawn(async { panic!("on purpose") });
        tasks.spawn(async move {
            let _alive = alive;
            pending::<()>().await;
        });
        drop(tasks);
        assert_eq!(ends.recv().await, None);
    }
}
