//! A proof of a name, against the consensus hash that it is about as far as it says.
#![no_main]

use bnsd::bns::Params;
use bnsd::bns::shown::shown;
use bnsd::hash::ConsensusHash;
use bnsd::virtualchain::proof::{Proof, Proven, chain_of, check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(chain) = chain_of(bytes) {
        // A proof that somebody makes up leads to no hash that anybody trusts.
        assert!(check(bytes, &chain, ConsensusHash([0; 16])).is_err());
    }
    let text = String::from_utf8_lossy(bytes);
    let texts = text.splitn(2, '\n').map(|text| Proven {
        height: 7,
        text: text.to_owned(),
    });
    let proof = Proof {
        height: 9,
        operations: texts.collect(),
        zonefile: Vec::new(),
    };
    let _ = shown(&Params::mainnet(), &proof);
});
