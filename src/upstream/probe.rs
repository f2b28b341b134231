//! Finds out whether an upstream leads back to us, by way of others.
//!
//! A forwarder on this machine or in its network can be configured to ask us, for everything or for some domains. So
//! only such an upstream is probed: it is asked for a name that nobody else can know, below the name that is in question,
//! because the probe has to take the way that the question takes. If somebody then asks us for that name, and nobody else
//! answers, the upstream is in a circle; more probes then find out for which domain. The root's own probe is under `arpa`,
//! where no resolver answers by itself.
//!
//! A probe goes along with a question for a name of a namespace, since those are the names that somebody sends to us,
//! and with a question that comes in while the same question is out, since it may be our own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bitcoin::hex::DisplayHex as _;
use hickory_proto::rr::{Name, RecordType};
use tokio::sync::watch;
use tokio::time::Instant;

use super::ask::Ask;
use super::random;
use crate::wire::parent;

/// How long a nonce can come back.
const LIFE: Duration = Duration::from_secs(5);
/// The label above the nonce.
const LABEL: &[u8] = b"bnsd-loop";
/// The domain under which the root is probed.
const DOMAIN: &[u8] = b"arpa";
/// Nonces that are out at the same time.
const MAX: usize = 32;
/// Top-level domains whose last probe is remembered.
const DOMAINS_MAX: usize = 256;

/// The nonces that are out.
#[derive(Default)]
pub struct Probes {
    state: Mutex<State>,
    /// Changes with every nonce that comes back.
    returns: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    out: HashMap<Vec<u8>, Nonce>,
    /// When each top-level domain was probed last.
    last: HashMap<Vec<u8>, Instant>,
}

struct Nonce {
    sent: Instant,
    came_back: bool,
}

/// Whether a name in wire form and lower case looks like a probe, ours or another daemon's.
pub fn may_be_probe(name: &[u8]) -> bool {
    let above = parent(name).and_then(<[u8]>::split_first);
    above.is_some_and(|(&length, rest)| rest.get(..length.into()) == Some(LABEL))
}

impl Probes {
    /// Whether no name of this top-level domain was probed for `interval`; the caller that hears yes makes a probe.
    pub fn is_due(&self, name: &Name, interval: Duration) -> bool {
        let domain = name.iter().next_back().unwrap_or_default();
        let mut state = self.lock();
        let now = Instant::now();
        let last = state.last.get(domain);
        let due = last.is_none_or(|last| now >= *last + interval);
        if due {
            if state.last.len() >= DOMAINS_MAX {
                state.last.clear();
            }
            state.last.insert(domain.to_vec(), now);
        }
        due
    }

    /// A question with a new nonce that takes the way of names in `zone`. `None` if too many are out.
    pub fn start(&self, zone: &Name) -> Option<Ask> {
        let nonce = random::bytes::<12>().to_lower_hex_string().into_bytes();
        let name = probe_name(&nonce, zone)?;
        let mut state = self.lock();
        let now = Instant::now();
        state.out.retain(|_, nonce| now < nonce.sent + LIFE);
        if state.out.len() >= MAX {
            return None;
        }
        let unseen = Nonce {
            sent: now,
            came_back: false,
        };
        state.out.insert(nonce, unseen);
        Some(Ask::own(&name, RecordType::A))
    }

    /// Whether a question is a probe of ours; then it is not forwarded. See [`may_be_probe`].
    pub fn recognises(&self, name: &Name) -> bool {
        let mut labels = name.iter();
        let nonce = labels.next().unwrap_or_default();
        if labels.next() != Some(LABEL) {
            return false;
        }
        // Another daemon's has to travel on, or that one would not find its circle through us.
        let mut state = self.lock();
        let nonce = state.out.get_mut(nonce);
        let is_ours = nonce.map(|nonce| nonce.came_back = true).is_some();
        drop(state);
        if is_ours {
            self.returns.send_replace(());
        }
        is_ours
    }

    /// Waits until a probe comes back.
    pub async fn came_back(&self, ask: &Ask) {
        let mut returns = self.returns.subscribe();
        while !self.is_back(ask) {
            if returns.changed().await.is_err() {
                return std::future::pending().await; // nobody is left who could see it
            }
        }
    }

    /// Whether a probe came back.
    pub fn is_back(&self, ask: &Ask) -> bool {
        let first = ask.question.name.iter().next().unwrap_or_default();
        let state = self.lock();
        state.out.get(first).is_some_and(|nonce| nonce.came_back)
    }

    /// Forgets a probe.
    pub fn end(&self, ask: &Ask) {
        let first = ask.question.name.iter().next().unwrap_or_default();
        self.lock().out.remove(first);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a probe below a zone, or below as much of its end as leaves room.
fn probe_name(nonce: &[u8], zone: &Name) -> Option<Name> {
    let labels: Vec<&[u8]> = match zone.is_root() {
        true => vec![DOMAIN],
        false => zone.iter().collect(),
    };
    (0..labels.len()).find_map(|first| {
        let rest = labels.iter().skip(first).copied();
        let mut name = Name::from_labels([nonce, LABEL].into_iter().chain(rest)).ok()?;
        name.set_fqdn(true);
        Some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_takes_the_way_of_the_name_and_is_known_again() {
        let probes = Probes::default();
        let long = format!("{0}.{0}.{0}.{1}.id.", "a".repeat(63), "b".repeat(58));
        for (zone, end) in [
            (".", ".bnsd-loop.arpa."),
            ("nosuch.id.", ".bnsd-loop.nosuch.id."),
            (&long, &format!(".{}.id.", "b".repeat(58))),
        ] {
            let zone = Name::from_ascii(zone).expect("a name");
            let ask = probes.start(&zone).expect("few are out");
            let name = ask.question.name.clone();
            assert!(name.to_ascii().ends_with(end), "{name}");
            assert!(!probes.is_back(&ask) && probes.recognises(&name) && probes.is_back(&ask));
            probes.end(&ask);
            assert!(!probes.recognises(&name));
        }
        let other = Name::from_ascii("0.bnsd-loop.id.").expect("a name");
        assert!(!probes.recognises(&other));
    }

    #[tokio::test(start_paused = true)]
    async fn each_domain_is_probed_from_time_to_time() {
        let (probes, interval) = (Probes::default(), Duration::from_secs(10));
        let name = |text: &str| Name::from_ascii(text).expect("a name");
        assert!(probes.is_due(&name("a.id."), interval));
        assert!(!probes.is_due(&name("b.id."), interval));
        assert!(probes.is_due(&name("a.com."), interval));
        tokio::time::advance(interval).await;
        assert!(probes.is_due(&name("b.id."), interval));
    }
}
