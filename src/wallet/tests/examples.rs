//! The specification's worked examples (wf §7), byte for byte.

use std::collections::BTreeSet;

use super::burn;
use super::rehearsal::{id, name, numbered};
use crate::bns::address::AddressVersions;
use crate::bns::price::PriceFunction;
use crate::bns::wire::TokenBurn;
use crate::hash::{ConsensusHash, ZonefileHash};
use crate::wallet::operation::{OnTransfer, Operation, STACKS};

fn hash<const N: usize>(text: &str) -> [u8; N] {
    let bytes = crate::hash::decode_hex(text).expect("hex");
    bytes.try_into().expect("as long as it should be")
}

/// The zone file of example 22 (93 bytes).
const ZONEFILE: &[u8] = b"$ORIGIN foo.test\n$TTL 3600\n_http._tcp URI 10 1 \"https://example.com/foo.test/0/profile.json\"\n";

/// wf §7: number, operation, payload.
fn examples() -> Vec<(u8, Operation, String)> {
    const MAIN: AddressVersions = AddressVersions::MAINNET;
    let ch = |text| ConsensusHash(hash(text));
    let address = |number| numbered(number).address();
    let burn = burn();
    let function = |coeff, base, nonalpha_discount, no_vowel_discount| PriceFunction {
        coeff,
        base,
        buckets: [6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        nonalpha_discount,
        no_vowel_discount,
    };
    let any = ZonefileHash([0; 20]);
    let value = |byte| ZonefileHash([byte; 20]);
    let (owner, other) = (address(5), address(6));
    let transfer_hash = ch("1fec4c7433130403d1b40010c96665ff");
    let zeros = |count: usize| "00".repeat(count);
    vec![
        (1, Operation::namespace_preorder(&id("test"), &numbered(1).script(), (address(2), MAIN), ch("2a9148d8b13939723d2aca16c75c6d68"), None, burn), "69642a5969af8d3b5cca0dd400ed940bed947d75c6f96e2a9148d8b13939723d2aca16c75c6d68".to_owned()),
        (2, Operation::namespace_preorder(&id("vthr"), &numbered(16).script(), (address(2), MAIN), ch("5d138676ef2e159892fda4e05aa5ddaa"), Some(6_400_000_000), burn), "69642a491ddf3b48679f76b9ab82a8b8f58de194a7d5335d138676ef2e159892fda4e05aa5ddaa000000017d784000".to_owned()),
        (3, Operation::namespace_reveal(&id("test"), owner, 52_595, function(250, 4, 10, 10), 1), "6964260000cd73fa046543210000000000aa000174657374".to_owned()),
        (4, Operation::namespace_reveal(&id("vone"), owner, 4, function(4, 10, 1, 3), 1), "69642600000004040a6543210000000000130001766f6e65".to_owned()),
        (5, Operation::name_import(&name("imported.test"), owner, any), "69643b696d706f727465642e74657374".to_owned()),
        (6, Operation::name_import(&name("b-c.vone"), owner, any), "69643b622d632e766f6e65".to_owned()),
        (7, Operation::namespace_ready(&id("test"), owner), "6964212e74657374".to_owned()),
        (8, Operation::namespace_ready(&id("vtwo"), owner), "6964212e7674776f".to_owned()),
        (9, Operation::name_preorder(&name("foo.test"), &numbered(4).script(), (owner, MAIN), ch("80578cf367dcd6463c17a92ba76fe1eb"), None, burn), "69643fc039163e150923f06da9bc0fc68525eb83c051c580578cf367dcd6463c17a92ba76fe1eb".to_owned()),
        (10, Operation::name_preorder(&name("stx.vone"), &numbered(16).script(), (address(17), MAIN), ch("98f8c83e41043fd0d8d74b4c33070b13"), Some(TokenBurn { amount: 173_333_333, token_type: STACKS.to_vec() }), burn), format!("69643f202f51bc36eaea94f1b429e11ae9c4c33cf99a1098f8c83e41043fd0d8d74b4c33070b13000000000a54db55535441434b53{}", zeros(13))),
        (11, Operation::name_register(&name("foo.test"), owner, None), "69643a666f6f2e74657374".to_owned()),
        (12, Operation::name_register(&name("ru.vone"), owner, Some(value(0x88))), format!("69643a72752e766f6e65{}{}", zeros(30), "88".repeat(20))),
        (13, Operation::name_renew(&name("foo.test"), owner, None, None, burn), "69643a666f6f2e74657374".to_owned()),
        (14, Operation::name_renew(&name("stx.vone"), owner, Some(value(0xdd)), Some(0), burn), format!("69643a7374782e766f6e65{}{}{}", zeros(29), "dd".repeat(20), zeros(8))),
        (15, Operation::name_update(&name("foo.test"), owner, ch("27337928b3fe0b5cfe03db7bfc0bc47c"), value(0x44)), format!("69642b83d268993c2feb923606604235064140{}", "44".repeat(20))),
        (16, Operation::name_update(&name("imported.test"), owner, ch("924b22edc0e5994376dee90ae6d9a489"), value(0x55)), format!("69642b8367efba41662a0eaa67739bdbe2e711{}", "55".repeat(20))),
        (17, Operation::name_transfer(&name("foo.test"), owner, other, transfer_hash, OnTransfer::KeepZonefile), "69643e3e7727f568dd9d36d5c777c024da5994731fec4c7433130403d1b40010c96665ff".to_owned()),
        (18, Operation::name_transfer(&name("imported.test"), owner, other, transfer_hash, OnTransfer::ClearZonefile), "69643e7ed7bc2277972c94acddd1364eede0de191fec4c7433130403d1b40010c96665ff".to_owned()),
        (19, Operation::name_revoke(&name("foo.test"), owner), "69647e666f6f2e74657374".to_owned()),
        (20, Operation::name_revoke(&name("bar.test"), owner), "69647e6261722e74657374".to_owned()),
        (21, Operation::announce(ZonefileHash::of(b"hello"), owner), "696423b6a9c8c230722b7c748331a8b450f05566dc7d0f".to_owned()),
        (22, Operation::announce(ZonefileHash::of(ZONEFILE), owner), "696423087dcea832e706022a1fd3fa723cf3261e5b5e2f".to_owned()),
        (23, Operation::token_transfer(other, ch("9ff525419931dd065dd8705c7f4e3117"), 12_345, b"hi"), format!("6964249ff525419931dd065dd8705c7f4e3117535441434b53{}00000000000030396869", zeros(13))),
        (24, Operation::token_transfer(other, ch("9ff525419931dd065dd8705c7f4e3117"), 1, b""), format!("6964249ff525419931dd065dd8705c7f4e3117535441434b53{}0000000000000001", zeros(13))),
    ]
}

/// Examples of the specification, as wf §7 numbers them. A builder here can make each of them.
const EXAMPLES: std::ops::RangeInclusive<u8> = 1..=24;

#[test]
fn payloads_are_those_of_the_specification() {
    let examples = examples();
    let numbers: BTreeSet<u8> = examples.iter().map(|(number, ..)| *number).collect();
    assert!(numbers.into_iter().eq(EXAMPLES), "an example is left out");
    for (number, operation, expected) in examples {
        let payload = [&b"id"[..], &operation.payload().encode()].concat();
        let payload = crate::hash::encode_hex(&payload);
        assert_eq!(payload, expected, "example {number}");
    }
}
