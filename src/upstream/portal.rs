//! The way through a captive portal: for some minutes the network's own resolvers answer.
//!
//! Such a network leads every name to its login page and lets nothing else through. Encrypted upstreams fail there,
//! and the page has a private address, which is left out otherwise. Only a person opens this way, never a guess about
//! the network, because whoever could fake the signs of a portal could read and change everything; it closes by
//! itself, and at once when the network is another one.
//!
//! While it is open, names are asked in the clear of the resolvers that the person named or the network gave. Their
//! responses hold for no time, are kept nowhere, and stand in for nothing later. Names that could be of the chain and
//! names with a route of their own never go this way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::ask::{Ask, NxdomainCut};
use super::group::Group;

/// A way that may be open.
#[derive(Default)]
pub struct Portal {
    open: ArcSwapOption<Open>,
}

struct Open {
    group: Arc<Group>,
    resolvers: Vec<SocketAddr>,
    /// On the daemon's clock.
    until: Duration,
}

/// An open way, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalReport {
    /// Who is asked.
    pub resolvers: Vec<SocketAddr>,
    /// For how long.
    pub remaining: Duration,
}

impl Portal {
    /// Opens the way to `group`, which asks `resolvers`.
    pub fn open(&self, group: Group, resolvers: Vec<SocketAddr>, until: Duration) {
        self.open.store(Some(Arc::new(Open {
            group: Arc::new(group),
            resolvers,
            until,
        })));
    }

    /// Closes it; whether it was open.
    pub fn close(&self, now: Duration) -> bool {
        let open = self.open.swap(None);
        open.is_some_and(|open| now < open.until)
    }

    /// What there is to say about it; `None` while it is closed.
    pub fn report(&self, now: Duration) -> Option<PortalReport> {
        let open = self.current(now)?;
        Some(PortalReport {
            resolvers: open.resolvers.clone(),
            remaining: open.until.saturating_sub(now),
        })
    }

    /// Whether any question goes this way.
    pub fn is_open(&self, now: Duration) -> bool {
        self.current(now).is_some()
    }

    /// Who is asked this question instead of the upstreams, while the way is open.
    pub fn way(&self, ask: &Ask, now: Duration) -> Option<Arc<Group>> {
        let open = self.current(now)?;
        // What no missing name settles may be of the chain.
        (ask.nxdomain_cut == NxdomainCut::Allowed).then(|| Arc::clone(&open.group))
    }

    fn current(&self, now: Duration) -> Option<Arc<Open>> {
        self.open.load_full().filter(|open| now < open.until)
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{DNSClass, RecordType};

    use super::*;
    use crate::resolver::Question;

    fn ask(name: &str, nxdomain_cut: NxdomainCut) -> Ask {
        let name = name.parse().expect("a name");
        Ask {
            question: Question::new(&name, RecordType::A, DNSClass::IN),
            dnssec_ok: false,
            checking_disabled: false,
            nxdomain_cut,
        }
    }

    #[test]
    fn it_is_open_for_its_time_and_never_for_names_of_the_chain() {
        let (portal, at) = (Portal::default(), Duration::from_secs);
        let page = ask("login.example", NxdomainCut::Allowed);
        assert!(portal.way(&page, at(0)).is_none());
        portal.open(Group::default(), Vec::new(), at(10));
        assert!(portal.way(&page, at(9)).is_some());
        assert!(
            portal
                .way(&ask("x.id", NxdomainCut::Never), at(9))
                .is_none()
        );
        assert_eq!(portal.report(at(9)).map(|open| open.remaining), Some(at(1)));
        assert!(portal.way(&page, at(10)).is_none() && !portal.is_open(at(10)));
        portal.open(Group::default(), Vec::new(), at(20));
        assert!(portal.close(at(11)) && !portal.close(at(12)));
        assert!(portal.way(&page, at(12)).is_none());
    }
}
