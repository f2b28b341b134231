//! Answers that wait until the certificates of their name are in place.
//!
//! A browser connects right after it has an address. Its first connection fails if the certificate that this machine issues
//! for the name comes later, and it may remember that for half an hour.

use futures_util::future::BoxFuture;
use hickory_proto::rr::RecordType;

use super::{Handled, Handler, Pending, Request, Wait};
use crate::resolver::{Answer, Snapshots};

/// What is asked by those who are about to connect.
const LEADING: [RecordType; 3] = [RecordType::A, RecordType::AAAA, RecordType::HTTPS];

/// Whether the answer to a question for this type may have to wait.
pub(super) fn leads(rtype: RecordType) -> bool {
    LEADING.contains(&rtype)
}

impl<P: Snapshots> Handler<P> {
    /// What an answer waits for; `None` if it can leave.
    pub(super) fn in_place(
        &self,
        request: &Request,
        answer: &Answer,
    ) -> Option<BoxFuture<'static, ()>> {
        let provision = self.provision.as_ref()?;
        let (name, bound) = &**answer.authority.as_ref()?;
        let asked = request.query.question.as_ref()?;
        let may_wait = leads(asked.query_type) && !answer.answers.is_empty();
        may_wait
            .then(|| provision.before_answer(name, bound, &asked.name))
            .flatten()
    }

    /// Lets a decided answer wait.
    pub(super) fn let_wait(
        &self,
        request: Request,
        answer: Answer,
        in_place: BoxFuture<'static, ()>,
        out: &mut Vec<u8>,
    ) -> Handled {
        // With no room to wait in, the answer goes first: a certificate that comes late is fetched by most browsers.
        let Some(waiter) = self.waiting.join() else {
            self.reply(&request, answer, out);
            return Handled::Ready;
        };
        Handled::Pending(Box::new(Pending {
            request,
            waiter,
            wait: Wait::Certificate {
                answer: Box::new(answer),
                in_place,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use hickory_proto::rr::Name as DnsName;
    use tokio::sync::Notify;

    use super::*;
    use crate::bns::name::Name;
    use crate::clock::SystemClock;
    use crate::dns::client::{Client, Transport};
    use crate::dns::fixture::query_bytes;
    use crate::resolver::Policy;
    use crate::resolver::fixture::Names;
    use crate::tlsa::Bound;
    use crate::trust::Provision;
    use crate::upstream::{ForwardOptions, Forwarder};

    /// Certificates that come when a test says so.
    #[derive(Default)]
    struct Later {
        come: Arc<Notify>,
        is_there: AtomicUsize,
        asked: AtomicUsize,
    }

    impl Provision for Later {
        fn before_answer(
            &self,
            name: &Name,
            _: &Bound,
            asked: &DnsName,
        ) -> Option<BoxFuture<'static, ()>> {
            assert_eq!(asked.to_string(), "keyed.podcast.");
            assert_eq!(name.as_str(), "keyed.podcast");
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_there.load(Ordering::Relaxed) > 0 {
                return None;
            }
            let come = Arc::clone(&self.come);
            Some(async move { come.notified().await }.boxed())
        }
    }

    #[tokio::test]
    async fn addresses_leave_when_the_certificate_is_in_place() {
        let clock = Arc::new(SystemClock::start());
        let forwarder = Forwarder::new(ForwardOptions::default(), clock).expect("no upstreams");
        let later = Arc::new(Later::default());
        let provision: Arc<dyn Provision> = Arc::clone(&later) as _;
        let handler = Handler::new(Names::new(), Policy::default(), Arc::new(forwarder))
            .with_provision(Some(provision));
        let client = Client {
            address: [127, 0, 0, 1].into(),
            transport: Transport::Udp,
        };
        let ask = |rtype, out: &mut Vec<u8>| {
            out.clear();
            handler.handle(&query_bytes("keyed.podcast.", rtype), client, out)
        };
        let mut out = Vec::new();
        for rtype in [RecordType::TXT, RecordType::AAAA] {
            assert!(matches!(ask(rtype, &mut out), Handled::Ready), "{rtype}");
        }
        for rtype in [RecordType::A, RecordType::HTTPS] {
            let Handled::Pending(pending) = ask(rtype, &mut out) else {
                panic!("{rtype} left at once");
            };
            let mut finish = Box::pin(handler.finish(*pending, &mut out));
            assert!(finish.as_mut().now_or_never().is_none(), "{rtype} left");
            later.come.notify_one();
            finish.await;
            assert_eq!(out[7], 1, "{rtype}");
        }
        later.is_there.store(1, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(matches!(ask(RecordType::A, &mut out), Handled::Ready));
        }
        let asked = later.asked.load(Ordering::Relaxed);
        assert_eq!(asked, 3, "the last reply came from memory");
    }
}
