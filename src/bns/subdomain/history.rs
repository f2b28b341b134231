//! Which of a subdomain's records are accepted: a function of the set of records, whatever order they arrived in.

use bitcoin::Txid;

use super::name::Subdomain;
use crate::bns::address::Address;
use crate::bns::name::Name;
use crate::hash::ZonefileHash;

/// A record with its place on the chain, as far as the rules ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Number of the announcement of its zone file, from 1.
    pub row: u32,
    /// Its number among the records of that zone file, from 0.
    pub offset: u32,
    /// Height of the announcement.
    pub height: u32,
    /// Transaction of the announcement.
    pub txid: Txid,
    /// The name whose zone file holds it.
    pub carrier: Name,
    /// Its sequence number.
    pub sequence: u64,
    /// Who owns the subdomain from then on.
    pub owner: Address,
    /// Whose valid signature it has.
    pub signer: Option<Address>,
    /// Hash of the subdomain's zone file.
    pub zonefile: ZonefileHash,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// It changes nothing.
    Refused(Refusal),
}

/// Why a record changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no subdomain yet, and the record does not make one.
    #[error("the first record of a subdomain has seqn=0")]
    NotFirst,
    /// There is no subdomain yet, and another name carries the record.
    #[error("the first record of a subdomain stands in the zone file of the name above it")]
    FirstIndependent,
    /// The sequence does not follow that of the last accepted record.
    #[error("its seqn does not follow {last}, the last one that was accepted before it")]
    Sequence {
        /// The sequence of the last accepted record.
        last: u64,
    },
    /// It has no signature, or one that is nobody's.
    #[error("it has no valid signature")]
    Unsigned,
    /// Somebody else than the owner signed it.
    #[error("somebody else than the owner signed it")]
    NotOwner,
    /// It gives the subdomain to another owner, and another name carries it.
    #[error(
        "a record that changes the owner stands in the zone file of the name above the subdomain"
    )]
    TransferIndependent,
}

/// The records of a subdomain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    subdomain: Subdomain,
    /// By sequence, row and offset.
    records: Vec<Placed>,
}

impl History {
    /// The history that these records make, in whatever order they are given.
    pub fn new(subdomain: Subdomain, mut records: Vec<Placed>) -> Self {
        records.sort_unstable_by_key(|record| (record.sequence, record.row, record.offset));
        Self { subdomain, records }
    }

    /// What becomes of each record up to a height, those with lower sequences first.
    pub fn decisions(&self, upto: u32) -> impl Iterator<Item = (&Placed, Verdict)> {
        let mut last: Option<&Placed> = None;
        let records = self.records.iter();
        records
            .filter(move |record| record.height <= upto)
            .map(move |record| {
                let verdict = match self.judge(last, record) {
                    Ok(()) => {
                        last = Some(record);
                        Verdict::Accepted
                    }
                    Err(refusal) => Verdict::Refused(refusal),
                };
                (record, verdict)
            })
    }

    /// The accepted records up to a height: the first one made the subdomain, the last one says what it is.
    pub fn accepted(&self, upto: u32) -> impl Iterator<Item = &Placed> {
        let decisions = self.decisions(upto);
        decisions.filter_map(|(record, verdict)| (verdict == Verdict::Accepted).then_some(record))
    }

    /// The same history without the records of a row, of which it turned out that it is not on the chain.
    pub fn forget(&mut self, row: u32) {
        self.records.retain(|record| record.row != row);
    }

    fn judge(&self, last: Option<&Placed>, record: &Placed) -> Result<(), Refusal> {
        let claim = Claim {
            sequence: record.sequence,
            owner: record.owner,
            signer: record.signer,
            independent: record.carrier != *self.subdomain.name(),
        };
        follows(last.map(|last| (last.sequence, last.owner)), claim)
    }
}

/// What the rules look at in a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub sequence: u64,
    pub owner: Address,
    /// Whose valid signature it has.
    pub signer: Option<Address>,
    pub independent: bool,
}

/// Whether a record is accepted behind the last accepted one, of which sequence and owner are given.
pub(super) fn follows(last: Option<(u64, Address)>, claim: Claim) -> Result<(), Refusal> {
    let Some((last, owner)) = last else {
        return match (claim.sequence, claim.independent) {
            (0, false) => Ok(()),
            (0, true) => Err(Refusal::FirstIndependent),
            _ => Err(Refusal::NotFirst),
        };
    };
    if last.checked_add(1) != Some(claim.sequence) {
        return Err(Refusal::Sequence { last });
    }
    if claim.signer.ok_or(Refusal::Unsigned)? != owner {
        return Err(Refusal::NotOwner);
    }
    if claim.owner != owner && claim.independent {
        return Err(Refusal::TransferIndependent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const ALL: u32 = u32::MAX;

    fn address(owner: u8) -> Address {
        Address::P2pkh([owner; 20])
    }

    /// A record of the owner `owner`, signed by `signer`, in row `row` at that height.
    fn placed(row: u32, sequence: u64, owner: u8, signer: Option<u8>) -> Placed {
        Placed {
            row,
            offset: 0,
            height: row,
            txid: Txid::all_zeros(),
            carrier: "foo.id".parse().expect("a name"),
            sequence,
            owner: address(owner),
            signer: signer.map(address),
            zonefile: ZonefileHash([row as u8; 20]),
        }
    }

    #[allow(
        clippy::needless_pass_by_value,
        reason = "tests hand in what they just made"
    )]
    fn elsewhere(record: Placed) -> Placed {
        Placed {
            carrier: "other.id".parse().expect("a name"),
            ..record
        }
    }

    fn history(records: Vec<Placed>) -> History {
        History::new("bar.foo.id".parse().expect("a subdomain"), records)
    }

    fn rows(history: &History, upto: u32) -> Vec<u32> {
        history.accepted(upto).map(|record| record.row).collect()
    }

    fn refusals(records: Vec<Placed>) -> Vec<(u32, Refusal)> {
        let history = history(records);
        let refused = history
            .decisions(ALL)
            .filter_map(|(record, verdict)| match verdict {
                Verdict::Refused(refusal) => Some((record.row, refusal)),
                Verdict::Accepted => None,
            });
        refused.collect()
    }

    #[test]
    fn owners_follow_each_other_by_their_signatures() {
        let records = vec![
            placed(1, 0, 1, None),
            placed(2, 1, 1, Some(1)),
            placed(3, 2, 2, Some(1)),
            elsewhere(placed(4, 3, 2, Some(2))),
        ];
        let history = history(records);
        assert_eq!(rows(&history, ALL), [1, 2, 3, 4]);
        assert_eq!(rows(&history, 2), [1, 2]);
        assert_eq!(rows(&history, 0), [0; 0]);
    }

    #[test]
    fn every_rule_refuses_what_breaks_it() {
        let first = placed(1, 0, 1, None);
        let with = |record: Placed| refusals(vec![first.clone(), record]);
        let last = 0;
        assert_eq!(
            refusals(vec![placed(1, 1, 1, Some(1))]),
            [(1, Refusal::NotFirst)]
        );
        let independent = elsewhere(placed(1, 0, 1, Some(1)));
        assert_eq!(
            refusals(vec![independent]),
            [(1, Refusal::FirstIndependent)]
        );
        assert_eq!(
            with(placed(2, 0, 2, Some(1))),
            [(2, Refusal::Sequence { last })]
        );
        assert_eq!(
            with(placed(2, 2, 1, Some(1))),
            [(2, Refusal::Sequence { last })]
        );
        assert_eq!(with(placed(2, 1, 1, None)), [(2, Refusal::Unsigned)]);
        assert_eq!(with(placed(2, 1, 2, Some(2))), [(2, Refusal::NotOwner)]);
        let transfer = elsewhere(placed(2, 1, 2, Some(1)));
        assert_eq!(with(transfer), [(2, Refusal::TransferIndependent)]);
        assert_eq!(with(elsewhere(placed(2, 1, 1, Some(1)))), []);
    }

    #[test]
    fn a_replayed_record_changes_nothing() {
        let records = vec![
            placed(1, 0, 1, None),
            placed(2, 1, 2, Some(1)),
            placed(3, 1, 1, Some(1)),
            placed(4, 0, 1, None),
        ];
        assert_eq!(rows(&history(records), ALL), [1, 2]);
    }

    #[test]
    fn a_record_counts_once_the_one_before_it_is_there() {
        let records = vec![placed(1, 1, 1, Some(1)), placed(2, 0, 1, None)];
        assert_eq!(rows(&history(records), ALL), [2, 1]);
    }

    #[test]
    fn a_record_that_cannot_be_the_first_one_prevents_nothing() {
        let records = vec![
            elsewhere(placed(1, 0, 9, None)),
            placed(2, 7, 9, None),
            placed(3, 0, 1, None),
        ];
        assert_eq!(rows(&history(records), ALL), [3]);
    }

    #[test]
    fn a_late_zone_file_changes_what_is_accepted() {
        let mut records = vec![placed(2, 0, 2, None), placed(3, 1, 2, Some(2))];
        assert_eq!(rows(&history(records.clone()), ALL), [2, 3]);
        records.push(placed(1, 0, 1, None));
        let mut history = history(records);
        assert_eq!(rows(&history, ALL), [1]);
        history.forget(1);
        assert_eq!(rows(&history, ALL), [2, 3]);
    }

    fn any_record() -> impl Strategy<Value = Placed> {
        let fields = (
            1..30_u32,
            0..5_u64,
            0..3_u8,
            proptest::option::of(0..3_u8),
            any::<bool>(),
        );
        fields.prop_map(|(row, sequence, owner, signer, is_elsewhere)| {
            let record = placed(row, sequence, owner, signer);
            match is_elsewhere {
                true => elsewhere(record),
                false => record,
            }
        })
    }

    /// At most one record a row, as zone files have them.
    fn any_set() -> impl Strategy<Value = Vec<Placed>> {
        vec(any_record(), 0..30).prop_map(|mut records| {
            records.sort_by_key(|record| record.row);
            records.dedup_by_key(|record| record.row);
            records
        })
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_never_changes_what_is_accepted(
            (set, shuffled) in any_set().prop_flat_map(|set| (Just(set.clone()), Just(set).prop_shuffle())),
            upto in 0..40_u32,
        ) {
            prop_assert_eq!(rows(&history(set), upto), rows(&history(shuffled), upto));
        }

        #[test]
        fn a_block_never_takes_back_what_was_accepted(set in any_set(), upto in 0..40_u32) {
            let history = history(set);
            let (before, after) = (rows(&history, upto), rows(&history, upto + 1));
            prop_assert!(before.iter().all(|row| after.contains(row)), "{:?} {:?}", before, after);
        }

        #[test]
        fn accepted_sequences_count_up_from_zero(set in any_set()) {
            let history = history(set);
            let sequences: Vec<u64> = history.accepted(ALL).map(|record| record.sequence).collect();
            prop_assert_eq!(sequences.clone(), (0..sequences.len() as u64).collect::<Vec<_>>());
        }
    }
}
