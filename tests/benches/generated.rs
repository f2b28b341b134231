//! Chains made up for measurements: valid operations of many owners, as transactions with their spent outputs.

#![allow(
    dead_code,
    reason = "not every program that includes this needs all of it"
)]

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use bnsd::bns::address::Address;
use bnsd::bns::commitment::{name_preorder_hash, namespace_preorder_hash, update_hash};
use bnsd::bns::price::PriceFunction;
use bnsd::bns::state::State;
use bnsd::bns::wire::{self, Payload};
use bnsd::bns::{Bns, Changes, Name, NamespaceId, Params, Reject};
use bnsd::hash::{ConsensusHash, ZonefileHash, h160};
use bnsd::virtualchain::{BlockOutcome, Decision, VirtualTransaction, connect_block};

/// How many names an owner gets; the quota is 25.
pub const NAMES_PER_OWNER: usize = 20;
/// What is paid for a name; it costs less.
const FEE: u64 = 1_000;
/// What an id of four to seven letters costs from epoch 3 on.
const NAMESPACE_FEE: u64 = 40_000_000;

/// Somebody with a key.
#[derive(Clone)]
pub struct Owner {
    script: Vec<u8>,
    script_sig: ScriptBuf,
    address: Address,
}

impl Owner {
    /// The owner whose secret key is `number + 1`.
    pub fn new(number: usize) -> Self {
        let mut secret = [0; 32];
        secret[24..].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        let secret = SecretKey::from_slice(&secret).expect("a small number above zero");
        let key = PublicKey::from_secret_key(&Secp256k1::signing_only(), &secret).serialize();
        let address = Address::P2pkh(h160(&key));
        let script_sig = [&[71][..], &[0x30; 71], &[33], &key].concat();
        Self {
            script: address.script(),
            script_sig: ScriptBuf::from(script_sig),
            address,
        }
    }
}

/// Gives the outputs that an owner with this script spends in the next transaction.
pub type Purse = Box<dyn FnMut(&[u8]) -> Vec<(OutPoint, TxOut)>>;

/// A chain that grows block by block.
pub struct Generated {
    params: Params,
    bns: Bns,
    /// The state after the last block.
    pub state: State,
    height: u32,
    last: ConsensusHash,
    counter: u64,
    /// The blocks that opened the namespace.
    pub opening: Vec<Outcome>,
    purse: Option<Purse>,
}

/// What became of a block.
pub type Outcome = BlockOutcome<Reject, Changes>;

impl Generated {
    /// A chain with the namespace `test`, ready for registrations.
    pub fn new() -> Self {
        let mut chain = Self::unopened(None);
        for candidate in chain.opening_operations() {
            let outcome = chain.connect(&[candidate]);
            chain.opening.push(outcome);
        }
        chain
    }

    /// A chain without a namespace; what is spent comes from `purse`, or is made up.
    pub fn unopened(purse: Option<Purse>) -> Self {
        let params = Params::regtest();
        Self {
            bns: Bns::new(params.clone()),
            state: State::genesis(&params),
            height: params.first_block,
            last: params.initial_consensus_hash,
            counter: 0,
            opening: Vec::new(),
            purse,
            params,
        }
    }

    /// The consensus hash after the last block.
    pub fn consensus_hash(&self) -> ConsensusHash {
        self.last
    }

    /// Connects a block of operations, all of which must be accepted.
    pub fn connect(&mut self, candidates: &[VirtualTransaction]) -> Outcome {
        let outcome = connect_block(&self.bns, self.height, candidates, &self.state)
            .expect("memory does not fail");
        let accepted = |decision: &Decision<_>| matches!(decision, Decision::Accepted(_));
        let refused = outcome
            .decisions
            .iter()
            .find(|located| !accepted(&located.item));
        assert!(refused.is_none(), "{refused:?}");
        assert_eq!(outcome.decisions.len(), candidates.len());
        self.state
            .connect(self.height, &outcome.changes, outcome.snapshot);
        self.last = outcome.snapshot.consensus_hash;
        self.height += 1;
        outcome
    }

    /// A commitment to `name`, by its later owner.
    pub fn preorder(&mut self, name: &Name, owner: &Owner) -> VirtualTransaction {
        let address = owner.address.encode(self.params.addresses);
        let payload = Payload::NamePreorder(wire::NamePreorder {
            preorder_hash: name_preorder_hash(name, &owner.script, &address),
            consensus_hash: self.last,
            tokens: None,
        });
        let burn = self.params.burn_address.script();
        self.transaction(owner, &payload, &[(&owner.script, 5_500), (&burn, FEE)])
    }

    /// The registration of a preordered name.
    pub fn registration(&mut self, name: &Name, owner: &Owner) -> VirtualTransaction {
        let payload = registration(name);
        self.transaction(owner, &payload, &[(&owner.script, 5_500)])
    }

    /// Another term for a name.
    pub fn renewal(&mut self, name: &Name, owner: &Owner) -> VirtualTransaction {
        let burn = self.params.burn_address.script();
        let outputs = [(&owner.script, 5_500), (&owner.script, 5_500), (&burn, FEE)];
        self.transaction(owner, &registration(name), &outputs)
    }

    /// A new zone file hash.
    pub fn update(&mut self, name: &Name, owner: &Owner) -> VirtualTransaction {
        let payload = Payload::NameUpdate(wire::NameUpdate {
            update_hash: update_hash(name, self.last),
            value_hash: ZonefileHash(h160(name.as_str().as_bytes())),
        });
        self.transaction(owner, &payload, &[(&owner.script, 5_500)])
    }

    /// A name moves to another owner.
    pub fn transfer(&mut self, name: &Name, owner: &Owner, to: &Owner) -> VirtualTransaction {
        let payload = Payload::NameTransfer(wire::NameTransfer {
            keep_data: true,
            name_hash128: name.hash128(),
            consensus_hash: self.last,
        });
        self.transaction(owner, &payload, &[(&to.script, 5_500)])
    }

    /// The operations that open the namespace, for the first three blocks.
    pub fn opening_operations(&mut self) -> [VirtualTransaction; 3] {
        let owner = Owner::new(usize::MAX >> 8);
        let id: NamespaceId = "test".parse().expect("an id");
        let address = owner.address.encode(self.params.addresses);
        let preorder = Payload::NamespacePreorder(wire::NamespacePreorder {
            preorder_hash: namespace_preorder_hash(&id, &owner.script, &address),
            consensus_hash: self.last,
            tokens: None,
        });
        let price = PriceFunction {
            coeff: 1,
            base: 1,
            buckets: [0; 16],
            nonalpha_discount: 1,
            no_vowel_discount: 1,
        };
        let reveal = Payload::NamespaceReveal(wire::NamespaceReveal {
            lifetime: u32::MAX,
            price,
            version: 1,
            namespace_id: id.clone(),
        });
        let burn = self.params.burn_address.script();
        let own = (&owner.script, 5_500);
        let ready = Payload::NamespaceReady { namespace_id: id };
        [
            self.transaction(&owner, &preorder, &[own, (&burn, NAMESPACE_FEE)]),
            self.transaction(&owner, &reveal, &[own, own]),
            self.transaction(&owner, &ready, &[own]),
        ]
    }

    fn transaction(
        &mut self,
        owner: &Owner,
        payload: &Payload,
        outputs: &[(&Vec<u8>, u64)],
    ) -> VirtualTransaction {
        self.counter += 1;
        let spent = match &mut self.purse {
            Some(purse) => purse(&owner.script),
            None => vec![made_up(self.counter, owner)],
        };
        let input = |outpoint: &OutPoint| TxIn {
            previous_output: *outpoint,
            script_sig: owner.script_sig.clone(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let data = [&self.params.magic[..], &payload.encode()].concat();
        let length = u8::try_from(data.len()).expect("a payload is short");
        let null_data = match length {
            ..76 => [&[0x6a, length], &data[..]].concat(),
            _ => [&[0x6a, 0x4c, length], &data[..]].concat(),
        };
        let rest = outputs
            .iter()
            .map(|(script, value)| output(script.to_vec(), *value));
        let transaction = Transaction {
            version: Version::ONE,
            lock_time: LockTime::ZERO,
            input: spent.iter().map(|(outpoint, _)| input(outpoint)).collect(),
            output: [output(null_data, 0)].into_iter().chain(rest).collect(),
        };
        VirtualTransaction {
            vtxindex: self.counter as u32,
            txid: transaction.compute_txid(),
            transaction,
            prevouts: spent.into_iter().map(|(_, output)| output).collect(),
        }
    }
}

/// An output of nothing, which no rule asks about.
fn made_up(number: u64, owner: &Owner) -> (OutPoint, TxOut) {
    let mut txid = [0; 32];
    txid[..8].copy_from_slice(&number.to_le_bytes());
    let outpoint = OutPoint::new(Txid::from_byte_array(txid), 0);
    (outpoint, output(owner.script.clone(), 1_000_000))
}

fn registration(name: &Name) -> Payload {
    Payload::NameRegistration(wire::NameRegistration {
        name: name.clone(),
        value_hash: None,
        tokens: None,
    })
}

fn output(script: Vec<u8>, value: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(value),
        script_pubkey: ScriptBuf::from(script),
    }
}
