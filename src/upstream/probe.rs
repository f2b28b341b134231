//! Finds out whether an upstream leads back to us, by way of others.
//!
//! A question that comes in while the same question is out may be our own. Then, and only for upstreams on
//! this machine or in its network, a name that nobody else can know is asked for. If somebody asks us for that
//! name, the upstream is in a circle and is left alone for a while. The name is under `arpa`, where no
//! resolver answers by itself, and does not exist.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::{DNSClass, Name, RecordType};
use tokio::time::Instant;

use super::ask::{Ask, NxdomainCut};
use super::random;
use crate::resolver::Question;

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
        let nonce: Vec<u8> = random::bytes::<12>()
            .iter()
            .flat_map(|byte| format!("{byte:02x}").into_bytes())
            .collect();
        let labels = [nonce.as_slice()].into_iter().chain(DOMAIN);
        let name = Name::from_labels(labels).expect("three short labels");
        let mut state = self.lock();
        let now = Instant::now();
        state.out.retain(|_, nonce| now < nonce.sent + LIFE);
        if state.out.len() < MAX {
            let came_back = false;
            let sent = now;
            state.out.insert(nonce, Nonce { sent, came_back });
        }
        Ask {
            question: Question::new(&name, RecordType::A, DNSClass::IN),
            dnssec_ok: false,
            checking_disabled: false,
            nxdomain_cut: NxdomainCut::Never,
        }
    }

    /// Whether a question is a probe of ours; then it is not forwarded.
    pub fn recognises(&self, name: &Name) -> bool {
        let mut labels = name.iter();
        let (Some(first), Some(second), Some(third), None) =
            (labels.next(), labels.next(), labels.next(), labels.next())
        else {
            return false;
        };
        if [second, third] != DOMAIN {
            return false;
        }
        match self.lock().out.get_mut(first) {
            Some(nonce) => {
                nonce.came_back = true;
                true
            }
            // Another daemon's: it has to travel on, or that one would not find its circle through us.
            None => false,
        }
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
