//! Blocks fetched ahead while the index is busy with earlier ones.
//!
//! A thread fetches a range of heights in order. It ends at the first error, and when its [`Pipeline`] is dropped.
//! It decides nothing: whoever takes a block checks whether it continues the index. Bytes bound what waits: many small
//! blocks keep the index busy while a commit holds the thread up, and large ones do not pile up.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::{Result, SourceError};
use crate::worker;

/// Bytes of blocks that wait at most, and one block more.
const WAITING_BYTES: usize = 16 << 20;
/// Blocks that wait at most.
const WAITING: usize = 512;

/// What a fetch returns: a block in its source's form, or `None` if the chain does not reach that height any more.
type Fetched<T> = Result<Option<T>>;

/// What can wait in a pipeline.
pub trait Weight {
    /// Its size in bytes.
    fn weight(&self) -> usize;
}

impl Weight for super::Block {
    fn weight(&self) -> usize {
        self.raw.len()
    }
}

/// A range of blocks on its way.
#[derive(Debug)]
pub struct Pipeline<T> {
    next: u32,
    last: u32,
    shared: Arc<Shared<T>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<Fetched<T>>,
    bytes: usize,
    /// The pipeline was dropped, or its thread has ended.
    closed: bool,
}

impl<T: Weight + Send + 'static> Pipeline<T> {
    /// Begins to fetch the blocks from `first` to `last`; `None` if the system gives no thread.
    pub fn start(
        first: u32,
        last: u32,
        mut fetch: impl FnMut(u32) -> Fetched<T> + Send + 'static,
    ) -> Option<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                bytes: 0,
                closed: false,
            }),
            changed: Condvar::new(),
        });
        let sender = Closing(Arc::clone(&shared));
        let run = move || {
            for height in first..=last {
                let fetched = fetch(height);
                let is_last = !matches!(fetched, Ok(Some(_)));
                if !sender.0.put(fetched) || is_last {
                    return;
                }
            }
        };
        // It ends by itself, at the latest one block after the pipeline is dropped.
        let thread = worker::thread("prefetch", run).ok()?;
        Some(Self {
            next: first,
            last,
            shared,
            thread: Some(thread),
        })
    }

    /// Whether the block at `height` comes next.
    pub fn is_at(&self, height: u32) -> bool {
        self.next == height && height <= self.last
    }

    /// The next block; `None` if the chain has become shorter.
    pub fn take(&mut self) -> Fetched<T> {
        self.next = self.next.saturating_add(1);
        match self.shared.take() {
            // The next attempt has a new thread.
            Ok(None)
                if self
                    .thread
                    .take()
                    .is_some_and(|thread| thread.join().is_err()) =>
            {
                Err(SourceError::Unavailable(
                    "the thread that fetches blocks ahead failed".to_owned(),
                ))
            }
            fetched => fetched,
        }
    }
}

impl<T> Drop for Pipeline<T> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Closes the queue when the thread ends, however it does.
struct Closing<T>(Arc<Shared<T>>);

impl<T> Drop for Closing<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T: Weight> Shared<T> {
    /// Waits for room; `false` if nobody takes blocks any more.
    fn put(&self, fetched: Fetched<T>) -> bool {
        let mut queue = self.lock();
        while !queue.closed && (queue.bytes > WAITING_BYTES || queue.waiting.len() >= WAITING) {
            queue = self.wait(queue);
        }
        queue.bytes += size(&fetched);
        queue.waiting.push_back(fetched);
        self.changed.notify_all();
        !queue.closed
    }

    fn take(&self) -> Fetched<T> {
        let mut queue = self.lock();
        loop {
            if let Some(fetched) = queue.waiting.pop_front() {
                queue.bytes -= size(&fetched);
                self.changed.notify_all();
                return fetched;
            }
            if queue.closed {
                return Ok(None);
            }
            queue = self.wait(queue);
        }
    }
}

impl<T> Shared<T> {
    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue<T>>) -> MutexGuard<'a, Queue<T>> {
        self.changed
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn size<T: Weight>(fetched: &Fetched<T>) -> usize {
    match fetched {
        Ok(Some(block)) => block.weight(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::BlockHash;
    use bitcoin::hashes::Hash as _;

    use super::*;
    use crate::chain::{Block, BlockRef};

    fn block(height: u32, length: usize) -> Block {
        let hash = BlockHash::all_zeros();
        Block {
            at: BlockRef { height, hash },
            previous: hash,
            time: 0,
            raw: vec![0; length],
        }
    }

    #[test]
    fn blocks_come_in_order_and_large_ones_do_not_pile_up() {
        let length = WAITING_BYTES / 2;
        let mut pipeline =
            Pipeline::start(3, 9, move |height| Ok(Some(block(height, length)))).expect("a thread");
        for height in 3..=9 {
            assert!(pipeline.is_at(height));
            assert!(pipeline.shared.lock().waiting.len() <= 3);
            let taken = pipeline.take().expect("a block").expect("a block");
            assert_eq!(taken.at.height, height);
        }
        assert!(!pipeline.is_at(10));
        assert_eq!(pipeline.take().expect("the end"), None);
    }

    #[test]
    fn an_error_ends_it_and_a_dropped_one_ends_its_thread() {
        let fetch = |height| match height {
            1 => Ok(Some(block(1, 1))),
            _ => Err(SourceError::Unavailable("gone".to_owned())),
        };
        let mut pipeline = Pipeline::start(1, 5, fetch).expect("a thread");
        assert!(pipeline.take().is_ok());
        assert!(pipeline.take().is_err());
        assert_eq!(pipeline.take().expect("the end"), None);

        let (gone, ended) = std::sync::mpsc::channel::<()>();
        let endless = move |height| {
            let _alive = &gone;
            Ok(Some(block(height, 1)))
        };
        drop(Pipeline::start(0, u32::MAX, endless).expect("a thread"));
        assert!(ended.recv().is_err(), "the thread dropped its end");

        let panics = |_| -> Fetched<Block> { panic!("on purpose") };
        let mut pipeline = Pipeline::start(1, 5, panics).expect("a thread");
        assert!(matches!(pipeline.take(), Err(SourceError::Unavailable(_))));
    }
}
