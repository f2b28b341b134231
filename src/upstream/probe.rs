//! Finds out whether an upstream leads back to us, by way of others.
//!
//! A question that comes in while the same question is out may be our own. Then, and only for upstreams on
//! this machine or in its network, a name that nobody else can know is asked for. If somebody asks us for that
//! name, the upstream is in a circle and is left alone for a while. The name is under `arpa`, where no
//! resolver answers by itself, and does not exist.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bitcoin::hex::DisplayHex as _;
use hickory_proto::rr::{Name, RecordType};
use tokio::time::Instant;

use super::ask::Ask;
use super::random;

/// How long a nonce can come back.
const LIFE: Duration = Duration::from_secs(5);
/// The domain of the names.
const DOMAIN: [&[u8]; 2] = [b"bnsd-loop", b"arpa"];
/// Nonces that are out at the same time.
const MAX: usize = 32;
/// How often suspicion leads to a probe.
const INTERVAL: Duration = Duration::from_secs(10);

/// The nonces that are out.
#[derive(Default)]
pub struct Probes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    out: HashMap<Vec<u8>, Nonce>,
    last: Option<Instant>,
}

struct Nonce {
    sent: Instant,
    came_back: bool,
}

impl Probes {
    /// Whether it is time for a probe; the caller that hears yes makes it.
    pub fn is_due(&self) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        let due = state.last.is_none_or(|last| now >= last + INTERVAL);
        if due {
            state.last = Some(now);
        }
        due
    }

    /// A question with a new nonce.
    pub fn start(&self) -> Ask {
        let nonce = random::bytes::<12>().to_lower_hex_string().into_bytes();
        let labels = [nonce.as_slice()].into_iter().chain(DOMAIN);
        let name = Name::from_labels(labels).expect("three short labels");
        let mut state = self.lock();
        let now = Instant::now();
        state.out.retain(|_, nonce| now < nonce.sent + LIFE);
        if state.out.len() < MAX {
            let unseen = Nonce {
                sent: now,
                came_back: false,
            };
            state.out.insert(nonce, unseen);
        }
        Ask::own(&name, RecordType::A)
    }

    /// Whether a question is a probe of ours; then it is not forwarded.
    pub fn recognises(&self, name: &Name) -> bool {
        let mut labels = name.iter();
        let nonce = labels.next().unwrap_or_default();
        if !labels.eq(DOMAIN) {
            return false;
        }
        // Another daemon's has to travel on, or that one would not find its circle through us.
        let mut state = self.lock();
        let nonce = state.out.get_mut(nonce);
        nonce.map(|nonce| nonce.came_back = true).is_some()
    }

    /// Whether a probe came back.
    pub fn came_back(&self, ask: &Ask) -> bool {
        let first = ask.question.name.iter().next().unwrap_or_default();
        let state = self.lock();
        state.out.get(first).is_some_and(|nonce| nonce.came_back)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
