//! A connection that questions share, made when it is needed and again when it was closed.

use tokio::sync::Mutex;

use super::attempt::Failed;

/// A connection that questions share.
pub struct Shared<C>(Mutex<Option<C>>);

/// What can be shared.
pub trait Connection: Clone {
    /// Whether it can still be asked.
    fn is_open(&self) -> bool;
}

impl<C> Default for Shared<C> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<C: Connection> Shared<C> {
    /// Asks over the connection that is open, or over one that `connect` makes. An open one that turns out to be closed
    /// is replaced.
    pub async fn ask<T, M, A>(
        &self,
        connect: impl Fn() -> M,
        ask: impl Fn(C) -> A,
    ) -> Result<T, Failed>
    where
        M: Future<Output = Result<C, Failed>>,
        A: Future<Output = Result<T, Failed>>,
    {
        loop {
            let mut place = self.0.lock().await;
            let open = place.clone().filter(C::is_open);
            let was_open = open.is_some();
            let connection = match open {
                Some(open) => open,
                None => place.insert(connect().await?).clone(),
            };
            drop(place);
            match ask(connection).await {
                Err(Failed::Closed) if was_open => self.clear().await,
                answer => return answer,
            }
        }
    }

    /// Leaves the connection to those who still use it; the next question makes another one.
    pub async fn clear(&self) {
        *self.0.lock().await = None;
    }
}
