//! A connection that questions share, made when it is needed and again when it was closed.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::attempt::Failed;

/// A connection that questions share.
pub struct Shared<C> {
    connection: Arc<Mutex<Option<C>>>,
}

/// What can be shared.
pub trait Connection: Clone {
    /// Whether it can still be asked.
    fn is_open(&self) -> bool;
}

/// Whether a connection was made for this question; one that was not may have been closed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Now,
    Before,
}

impl<C> Default for Shared<C> {
    fn default() -> Self {
        Self {
            connection: Arc::default(),
        }
    }
}

impl<C: Connection> Shared<C> {
    /// Asks over the connection; one that turns out to be closed is replaced.
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
            let (connection, made) = self.get(connect()).await?;
            match ask(connection).await {
                Err(Failed::Closed) if made == Made::Before => self.clear().await,
                answer => return answer,
            }
        }
    }

    /// Leaves the connection to those who still use it; the next question makes another one.
    pub async fn clear(&self) {
        *self.connection.lock().await = None;
    }

    /// The connection that is open, or the one that `connect` makes.
    async fn get(
        &self,
        connect: impl Future<Output = Result<C, Failed>>,
    ) -> Result<(C, Made), Failed> {
        let mut place = self.connection.lock().await;
        if let Some(open) = place.as_ref().filter(|open| open.is_open()) {
            return Ok((open.clone(), Made::Before));
        }
        let connection = connect.await?;
        *place = Some(connection.clone());
        Ok((connection, Made::Now))
    }
}
