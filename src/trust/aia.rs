//! Certificates for browsers that look for an issuer by themselves: the fallback where no agent put it into place.
//!
//! Every leaf names this address (`caIssuers`, RFC 5280 §4.2.2.1). Any server can make a browser ask here, before the browser
//! trusts it: so the answer depends on the chain alone, and asking changes nothing. A browser remembers for half an hour
//! that nothing came. So a question without an answer is never refused at once: it is held for [`HOLD`], while a block or a
//! zone file may arrive, and asked of the chain again every [`AGAIN`].
//!
//! Questions that are held are bounded; with one more, the one that was held longest ends. Each costs a place and a look at
//! the chain now and then, never a signature.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::issued::Issued;
use super::mint::Mint;
use crate::bns::name::Name;

/// How long a question is held: browsers were measured to give up after ten seconds.
pub const HOLD: Duration = Duration::from_secs(9);
/// How often the chain is asked again.
const AGAIN: Duration = Duration::from_millis(250);
/// What the last part of the path ends with.
const ENDING: &str = ".cer";

/// Answers from the chain, at once or as soon as it has one.
pub struct Issuers {
    mint: Arc<Mint>,
    held_max: usize,
    held: Mutex<VecDeque<oneshot::Sender<()>>>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    name: Name,
    digest: [u8; 32],
}

impl Wanted {
    /// That of the path `/aia/NAME/FILE`, with a file `SPKI-SHA256.cer` in lower-case hexadecimal; `None` if it makes no sense.
    pub fn read(name: &str, file: &str) -> Option<Self> {
        let digest = file.strip_suffix(ENDING)?;
        let digest = HEXLOWER.decode(digest.as_bytes()).ok()?;
        Some(Self {
            name: Name::from_bytes(name.as_bytes()).ok()?,
            digest: digest.try_into().ok()?,
        })
    }
}

impl Issuers {
    /// At most `held_max` questions are held.
    pub fn new(mint: Arc<Mint>, held_max: usize) -> Self {
        Self {
            mint,
            held_max: held_max.max(1),
            held: Mutex::default(),
        }
    }

    /// The certificate, as soon as the chain has the key; `None` when the time is over, or others need the place.
    pub async fn find(&self, wanted: &Wanted) -> Option<Arc<Issued>> {
        if let Some(found) = self.look(wanted) {
            return Some(found);
        }
        let mut ended = self.hold();
        let end = Instant::now() + HOLD;
        while Instant::now() < end {
            if timeout(AGAIN, &mut ended).await.is_ok() {
                return None;
            }
            if let Some(found) = self.look(wanted) {
                return Some(found);
            }
        }
        None
    }

    /// What the chain says now.
    fn look(&self, wanted: &Wanted) -> Option<Arc<Issued>> {
        let found = tokio::task::block_in_place(|| self.mint.find(&wanted.name, &wanted.digest));
        found.unwrap_or_else(|error| {
            tracing::warn!("no certificate for {}: {error}", wanted.name.as_str());
            None
        })
    }

    /// Takes a place; what is returned ends when another question takes it.
    fn hold(&self) -> oneshot::Receiver<()> {
        let (end, ended) = oneshot::channel();
        let mut held = self.lock();
        held.retain(|other| !other.is_closed());
        while held.len() >= self.held_max {
            held.pop_front(); // dropped, which ends the question
        }
        held.push_back(end);
        ended
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<()>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
