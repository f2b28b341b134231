//! Which certificates the programs of this machine need now, and which agents have put them into place.
//!
//! A certificate is needed from the first answer about its name on, until the name binds its key no more. The first answer
//! waits for the agents, so that a browser that connects right after it finds the certificate. One look at the chain a
//! second takes away what a revocation, an expiry or an undone block ended, and renews what gets old.
//!
//! Bounded: [`NEEDED_MAX`] certificates, of which the one that was asked for longest ago goes first, and a queue for each
//! agent. An agent that does not keep up is sent away; it comes back and is told everything.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use hickory_proto::rr::Name as DnsName;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::issued::Issued;
use super::message::{Order, Report};
use super::mint::{Mint, MintError, Seen, Standing};
use super::provision::Provision;
use super::root::RootError;
use crate::bns::name::Name;
use crate::hash::sha256;
use crate::tlsa::Bound;

/// How long an answer waits for the agents.
pub const WAIT: Duration = Duration::from_millis(300);
/// Certificates that are in place at the same time.
pub(super) const NEEDED_MAX: usize = 2_000;
/// Orders that wait for an agent: all certificates, and as many changes.
const ORDERS_MAX: usize = 2 * NEEDED_MAX;
/// How often the chain is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often everything is looked at though the chain is the same: certificates get old.
const REVIEW: Duration = Duration::from_secs(60);

/// What certificates are needed, and by whom.
pub struct Hub {
    mint: Arc<Mint>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    needed: HashMap<Place, Need>,
    agents: HashMap<u64, mpsc::Sender<Order>>,
    next_agent: u64,
    /// Ordered since the last look at the chain.
    fresh: Vec<Arc<Issued>>,
    /// Counts answers; stands for time.
    clock: u64,
}

/// A name and the SHA-256 of a key.
type Place = (Name, [u8; 32]);

struct Need {
    issued: Arc<Issued>,
    /// Agents that have not reported.
    missing: HashSet<u64>,
    /// Whether there are none.
    in_place: watch::Sender<bool>,
    /// When it was last asked for.
    asked: u64,
}

/// An agent that is told what to do, until the value is dropped.
pub struct Member {
    hub: Arc<Hub>,
    id: u64,
    /// What it has to do; ended if it did not keep up.
    pub orders: mpsc::Receiver<Order>,
}

impl Hub {
    /// Needs nothing, and has no agents.
    pub fn new(mint: Arc<Mint>) -> Self {
        Self {
            mint,
            state: Mutex::default(),
        }
    }

    /// Follows the chain for ever.
    pub async fn keep(self: Arc<Self>) {
        let (mut seen, mut reviewed) = (Seen::default(), Instant::now());
        loop {
            sleep(LOOK).await;
            // An answer may have been decided before a block that this already knows, and its certificate be ordered after.
            let fresh = std::mem::take(&mut self.lock().fresh);
            if self.mint.has_changed(&mut seen) || reviewed.elapsed() > REVIEW {
                tokio::task::block_in_place(|| self.review_all());
                reviewed = Instant::now();
            } else if !fresh.is_empty() {
                tokio::task::block_in_place(|| self.review(fresh));
            }
        }
    }

    /// The certificate of the root, as agents are told it.
    pub fn root(&self) -> Result<Order, RootError> {
        let root = self.mint.root()?;
        Ok(Order::Root(BASE64.encode(root.certificate().der())))
    }

    /// A new agent that has put these certificates into place before. It is told to take away what is not needed, and to put
    /// what is.
    pub fn join(self: &Arc<Self>, had: &[Vec<u8>]) -> Member {
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let (had, foreign) = self.adopt(had);
        let id = {
            let mut state = self.lock();
            state.next_agent += 1;
            let id = state.next_agent;
            for issued in &had {
                state.take_over(issued);
            }
            state.agents.insert(id, sender);
            state.tell_all(id, &had);
            for fingerprint in foreign {
                state.order(id, Order::Drop(fingerprint));
            }
            id
        };
        self.review_all();
        Member {
            hub: Arc::clone(self),
            id,
            orders,
        }
    }

    /// The certificates that count, and the fingerprints of the others: those of a root that was replaced for instance.
    fn adopt(&self, had: &[Vec<u8>]) -> (Vec<Arc<Issued>>, Vec<String>) {
        let (mut ours, mut foreign) = (Vec::new(), Vec::new());
        for der in had {
            match self.mint.adopt(der) {
                Ok(issued) => ours.push(issued),
                Err(MintError::Wrong(_)) => foreign.push(HEXLOWER.encode(&sha256(der))),
                Err(error) => tracing::warn!("cannot look at a certificate of an agent: {error}"),
            }
        }
        (ours, foreign)
    }

    /// Looks at every certificate again.
    fn review_all(&self) {
        let needed = {
            let state = self.lock();
            let needed = state.needed.values();
            needed.map(|need| Arc::clone(&need.issued)).collect()
        };
        self.review(needed);
    }

    /// Looks at certificates again, and takes away or renews what the chain says otherwise about.
    fn review(&self, needed: Vec<Arc<Issued>>) {
        for issued in needed {
            let standing = self.mint.standing(&issued);
            let mut state = self.lock();
            match standing {
                Ok(Standing::Bound(current)) => {
                    if current != issued {
                        state.need(&current);
                    }
                }
                Ok(Standing::Gone) => state.forget(&place(&issued)),
                Ok(Standing::Unknown) if issued.until() > self.mint.now() => {}
                Ok(Standing::Unknown) => state.forget(&place(&issued)),
                Err(error) => return tracing::warn!("cannot look after certificates: {error}"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provision for Hub {
    fn before_answer(
        &self,
        name: &Name,
        bound: &Bound,
        asked: &DnsName,
    ) -> Option<BoxFuture<'static, ()>> {
        bound.authorities().next()?;
        // Without an agent too: the answer may come from memory when there is one.
        let certificates = match self.mint.issue(name, bound, asked) {
            Ok(certificates) => certificates,
            Err(error) => {
                tracing::warn!("no certificate for {}: {error}", name.as_str());
                return None;
            }
        };
        let mut state = self.lock();
        let waits = certificates.iter().filter_map(|issued| state.need(issued));
        let waits: Vec<watch::Receiver<bool>> = waits.collect();
        if waits.is_empty() {
            return None;
        }
        let in_place = |mut wait: watch::Receiver<bool>| async move {
            let _ = wait.wait_for(|in_place| *in_place).await; // an error once it is needed no more
        };
        let all = join_all(waits.into_iter().map(in_place));
        // The timer is made where it runs: whoever calls this may be outside of the runtime.
        Some(async move { drop(timeout(WAIT, all).await) }.boxed())
    }
}

impl State {
    /// Notes that a certificate is needed, and orders it. Gives what to wait for if it is not in place.
    fn need(&mut self, issued: &Arc<Issued>) -> Option<watch::Receiver<bool>> {
        self.clock += 1;
        let place = place(issued);
        if let Some(need) = self.needed.get_mut(&place)
            && need.issued == *issued
        {
            need.asked = self.clock;
            let waits = !need.missing.is_empty();
            return waits.then(|| need.in_place.subscribe());
        }
        self.make_room();
        let wait = self.add(issued);
        (!self.agents.is_empty()).then_some(wait)
    }

    /// Orders a certificate of every agent. Gives what to wait for.
    fn add(&mut self, issued: &Arc<Issued>) -> watch::Receiver<bool> {
        let missing: HashSet<u64> = self.agents.keys().copied().collect();
        let need = Need {
            issued: Arc::clone(issued),
            in_place: watch::Sender::new(missing.is_empty()),
            missing,
            asked: self.clock,
        };
        let wait = need.in_place.subscribe();
        if self.fresh.len() < NEEDED_MAX {
            self.fresh.push(Arc::clone(issued));
        }
        self.needed.insert(place(issued), need);
        self.order_all(&Order::Put(BASE64.encode(issued.der())));
        wait
    }

    /// Notes a certificate that an agent brought, unless another of its name and key is known.
    fn take_over(&mut self, issued: &Arc<Issued>) {
        let is_known = self.needed.contains_key(&place(issued));
        if !is_known && self.needed.len() < NEEDED_MAX {
            self.add(issued);
        }
    }

    /// Orders everything of a new agent that it lacks, and takes from it what is not needed.
    fn tell_all(&mut self, agent: u64, had: &[Arc<Issued>]) {
        let mut orders = Vec::new();
        for need in self.needed.values_mut() {
            if !had.contains(&need.issued) {
                need.missing.insert(agent);
                need.in_place.send_replace(false);
                orders.push(Order::Put(BASE64.encode(need.issued.der())));
            }
        }
        let is_needed = |issued: &&Arc<Issued>| {
            let need = self.needed.get(&place(issued));
            need.is_some_and(|need| need.issued == **issued)
        };
        let unneeded = had.iter().filter(|issued| !is_needed(issued));
        orders.extend(unneeded.map(|issued| Order::Drop(issued.fingerprint().to_owned())));
        for order in orders {
            self.order(agent, order);
        }
    }

    fn order_all(&mut self, order: &Order) {
        let agents: Vec<u64> = self.agents.keys().copied().collect();
        for agent in agents {
            self.order(agent, order.clone());
        }
    }

    /// Tells an agent, which is sent away if it does not keep up.
    fn order(&mut self, agent: u64, order: Order) {
        let sent = self.agents.get(&agent).map(|sender| sender.try_send(order));
        if let Some(Err(_)) = sent {
            self.leave(agent);
        }
    }

    fn make_room(&mut self) {
        while self.needed.len() >= NEEDED_MAX {
            let oldest = self.needed.iter().min_by_key(|(_, need)| need.asked);
            let Some(place) = oldest.map(|(place, _)| place.clone()) else {
                return;
            };
            self.forget(&place);
        }
    }

    fn forget(&mut self, place: &Place) {
        if let Some(need) = self.needed.remove(place) {
            self.order_all(&Order::Drop(need.issued.fingerprint().to_owned()));
        }
    }

    fn leave(&mut self, agent: u64) {
        self.agents.remove(&agent);
        for need in self.needed.values_mut() {
            need.report(agent);
        }
    }
}

impl Need {
    /// An agent is done with it.
    fn report(&mut self, agent: u64) {
        self.missing.remove(&agent);
        if self.missing.is_empty() {
            self.in_place.send_replace(true);
        }
    }
}

impl Member {
    /// Notes what the agent says.
    pub fn report(&self, report: &Report) {
        let certificate = match report {
            Report::Done(certificate) => certificate,
            Report::Failed {
                certificate,
                reason,
            } => {
                tracing::warn!("an agent cannot put a certificate into place: {reason}");
                certificate
            }
            Report::Have(_) | Report::Ready {} => return,
        };
        let mut state = self.hub.lock();
        let mut needs = state.needed.values_mut();
        if let Some(need) = needs.find(|need| need.issued.fingerprint() == certificate) {
            need.report(self.id);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.hub.lock().leave(self.id);
    }
}

fn place(issued: &Issued) -> Place {
    (issued.name().clone(), issued.key().sha256())
}
