//! The time of a delegation, and its proof, not yet judged.

use data_encoding::BASE64;

use super::holder::Holder;
use super::problem::Reason;

/// Longest delegation in seconds: 400 days, about what a certificate of a browser may have.
pub(super) const LONGEST: u32 = 400 * 86_400;
/// Longest proof in bytes.
const PROOF_MAX: usize = 2_048;

/// The part of a statement that makes it a delegation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) from: u32,
    pub(super) until: u32,
    pub(super) proof: Vec<u8>,
}

impl Signed {
    /// Reads the three fields: all, or none.
    pub(super) fn read(
        from: Option<&str>,
        until: Option<&str>,
        proof: Option<&str>,
    ) -> Result<Option<Self>, Reason> {
        let (from, until, proof) = match (from, until, proof) {
            (None, None, None) => return Ok(None),
            (Some(from), Some(until), Some(proof)) => (from, until, proof),
            _ => return Err(Reason::Malformed),
        };
        let seconds = |text: &str| text.parse().map_err(|_| Reason::Malformed);
        let proof = BASE64.decode(proof.as_bytes()).ok();
        let proof = proof.filter(|proof| proof.len() <= PROOF_MAX);
        Ok(Some(Self {
            from: seconds(from)?,
            until: seconds(until)?,
            proof: proof.ok_or(Reason::Malformed)?,
        }))
    }

    /// Whether it holds in the block of `holder`.
    pub(super) fn check_time(&self, holder: &Holder) -> Result<(), Reason> {
        let length = self.until.checked_sub(self.from);
        if length.is_none_or(|length| length > LONGEST) {
            Err(Reason::BadTime)
        } else if holder.time < self.from {
            Err(Reason::NotYet)
        } else if holder.time > self.until {
            Err(Reason::Expired)
        } else {
            Ok(())
        }
    }
}
