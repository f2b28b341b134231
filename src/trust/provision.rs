//! What a DNS answer waits for before it leaves.

use futures_util::future::BoxFuture;
use hickory_proto::rr::Name as DnsName;

use crate::bns::name::Name;
use crate::tlsa::Bound;

/// Puts the certificates of a name's authorities where the programs of this machine find them. [`super::Hub`] is the one that
/// does it.
pub trait Provision: Send + Sync {
    /// What an answer with the addresses of `asked` has to wait for, which is `name`, a host below it, or one of these below
    /// `bns.alt`: called on the thread that read the query, when the answer was decided from the chain and `bound` is what
    /// the name binds there. `None` if the answer can leave at once: nobody wants certificates, the name binds no authority
    /// or is not the chain's on this machine, or everything is in place. Otherwise the answer is given back as pending, and
    /// leaves when the future is over, which takes [`super::hub::WAIT`] at most; it leaves then whatever came of it.
    ///
    /// An answer that is kept in memory has been through this, and is not asked about again.
    fn before_answer(
        &self,
        name: &Name,
        bound: &Bound,
        asked: &DnsName,
    ) -> Option<BoxFuture<'static, ()>>;
}
