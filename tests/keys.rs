//! The keys that a name binds, as people, programs and resolvers see them.

use data_encoding::BASE64;
use serde_json::Value;

use crate::common::http::get;
use crate::common::person::{Person, World};
use crate::common::ports::free_address;
use crate::tls_programs::site::Site;

/// Type numbers.
const A: u16 = 1;
const TXT: u16 = 16;
const TLSA: u16 = 52;
const HTTPS: u16 = 65;
/// The first key of secp256k1.
const DATA_KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/// The SubjectPublicKeyInfo of a P-256 key whose point nobody looks at.
fn spki(seed: u8) -> Vec<u8> {
    let head = data_encoding::HEXLOWER
        .decode(b"3059301306072a8648ce3d020106082a8648ce3d03010703420004")
        .unwrap();
    [head, vec![seed; 64]].concat()
}

fn tlskey(seed: u8) -> String {
    let key = BASE64.encode(&spki(seed));
    format!("_tlskey TXT \"v=bnstls1 use=ta port=443 spki={key}\"\n")
}

/// A zone file of me.id, in a file.
fn zonefile(me: &Person<'_>, records: &str) -> String {
    let text = format!("$ORIGIN me.id\n$TTL 3600\n@ A 192.0.2.1\n{records}");
    me.writes("me.zone", &text)
}

/// Somebody who owns me.id with a zone file with these records.
fn owner<'w>(world: &'w World, records: &str) -> Person<'w> {
    let me = world.person("me");
    crate::cli::opens(&me, "id");
    me.does(&[
        "name",
        "register",
        "me.id",
        "--zonefile",
        &zonefile(&me, records),
    ]);
    me
}

fn pins(me: &Person<'_>, arguments: &[&str]) -> Value {
    let all = [&["--json", "tls", "pins"], arguments].concat();
    me.tries(&all).json()
}

#[test]
fn a_key_in_the_zone_file_is_served_and_told_everywhere() {
    let api = free_address();
    let world = World::start(&format!(
        "[api]\nlisten = [\"{api}\"]\n[chain]\nsource = \"dev\"\n"
    ));
    let data_key = format!("pubkey TXT \"pubkey:data:{DATA_KEY}\"\n");
    let me = owner(&world, &(tlskey(1) + &data_key + "www A 192.0.2.2\n"));
    for (owner, rtype, expected) in [
        ("_443._tcp.me.id", TLSA, (0, 2)),
        ("_443._tcp.www.me.id", TLSA, (0, 2)),
        ("_443._tcp.me.id.bns.alt", TLSA, (0, 2)),
        ("_443._tcp.me.id", A, (0, 0)),
        ("_tcp.me.id", TLSA, (0, 0)),
        ("_25._tcp.me.id", TLSA, (3, 0)),
        ("_443._tcp.other.me.id", TLSA, (3, 0)),
        ("me.id", HTTPS, (0, 1)),
        ("www.me.id", HTTPS, (0, 1)),
        ("_bnskey.me.id", TXT, (0, 1)),
    ] {
        assert_eq!(world.dig(owner, rtype), expected, "{owner} {rtype}");
    }
    let told = pins(&me, &["me.id"]);
    let of = |told: &Value| {
        let pins = told["pins"].as_array().unwrap().iter();
        pins.map(|pin| {
            format!(
                "{} {} {} {}",
                pin["usage"], pin["selector"], pin["matching"], pin["rule"]
            )
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(of(&told), ["2 1 1 \"T2\"", "2 1 0 \"T2\""]);
    let name = me.world.name("me.id");
    assert_eq!(told["txid"], name["txid"]);
    assert_eq!(told["zonefile_hash"], name["zonefile_hash"]);
    assert_eq!(told["block"], name["height"]);
    assert_eq!(
        pins(&me, &["me.id", "--port", "25"])["pins"],
        Value::Array(vec![])
    );
    let shown = get(api, "/v1/pins/me.id?port=443").json();
    assert_eq!(shown, told);
    assert_eq!(get(api, "/v1/pins/me.id?port=0").status, 400);
    let key = me.does(&["key", "me.id"]);
    assert_eq!(key["data_key"], DATA_KEY);
    assert_eq!(key["tls_keys"][0]["spki"], BASE64.encode(&spki(1)));
    let last = key["history"].as_array().unwrap().last().unwrap();
    assert_eq!(last["data_key"], DATA_KEY);
    let stranger = me.tries(&["tls", "pins", "you.id"]);
    assert_eq!(stranger.code, 1, "{stranger:?}");
    let legacy = me.tries(&["tls", "pins", "example.com"]);
    assert!(
        legacy.code == 1 && legacy.stdout.contains("no name of the chain"),
        "{legacy:?}"
    );
}

#[test]
fn what_binds_no_key_is_refused_before_it_costs_and_explained_afterwards() {
    let world = World::embedded();
    let statement = tlskey(1);
    let me = world.person("me");
    crate::cli::opens(&me, "id");
    let nine: String = (1..=9).map(tlskey).collect();
    let doubled = statement.clone() + &statement.replace("port=443", "port=443,8443");
    let data_keys = format!(
        "pubkey TXT \"pubkey:data:{DATA_KEY}\"\npubkey TXT \"pubkey:data:03{}\"\n",
        &DATA_KEY[2..]
    );
    for (records, why) in [
        ("_tlskey TXT \"hello\"\n", "a key is bound by"),
        (&*doubled, "bound twice"),
        (&*nine, "more than 8 keys"),
        (&*data_keys, "at most one pubkey:data:"),
        (
            "_tlskey TXT \"v=bnstls1 use=ta spki=AAAA\"\n",
            "no SubjectPublicKeyInfo",
        ),
        (
            "_tlskey TXT \"v=bnstls1 use=ta use=ee spki=AAAA\"\n",
            "occurs twice",
        ),
    ] {
        let file = zonefile(&me, records);
        let checked = me.tries(&["zonefile", "check", "me.id", &file]);
        assert!(
            checked.code == 1 && checked.stdout.contains(why),
            "{why}: {checked:?}"
        );
        me.cannot(&["name", "register", "me.id", "--zonefile", &file], why);
    }
    let file = zonefile(&me, &nine);
    me.does(&["name", "register", "me.id", "--zonefile", &file, "--anyway"]);
    assert_eq!(world.dig("_443._tcp.me.id", TLSA), (3, 0));
    assert_eq!(world.dig("me.id", A), (0, 1));
    let explained = me.tries(&["explain", "me.id"]);
    assert!(
        explained.stdout.contains("more than 8 keys"),
        "{explained:?}"
    );
    let pinned = me.tries(&["tls", "pins", "me.id"]);
    assert!(
        pinned.code == 1 && pinned.stdout.contains("more than 8 keys"),
        "{pinned:?}"
    );
}

#[test]
fn pins_do_not_outlive_the_owner_of_a_transferred_name() {
    let world = World::embedded();
    let me = owner(
        &world,
        &(tlskey(1) + "_25._tcp TLSA 3 1 1 " + &"ab".repeat(32) + "\n"),
    );
    assert_eq!(world.dig("_443._tcp.me.id", TLSA), (0, 2));
    assert_eq!(world.dig("_25._tcp.me.id", TLSA), (0, 1));
    let you = world.person("you");
    me.does(&["name", "transfer", "me.id", &you.address()]);
    assert_eq!(world.dig("me.id", A), (0, 1), "the address stays");
    for owner in ["_443._tcp.me.id", "_25._tcp.me.id"] {
        assert_eq!(world.dig(owner, TLSA), (3, 0), "{owner}");
    }
    let explained = me.tries(&["explain", "me.id"]);
    assert!(
        explained.stdout.contains("a former owner announced"),
        "{explained:?}"
    );
    you.gets(10_000_000);
    you.does(&["zonefile", "publish", "me.id", &zonefile(&you, &tlskey(2))]);
    assert_eq!(world.dig("_443._tcp.me.id", TLSA), (0, 2));
    you.does(&["name", "renew", "me.id"]);
    assert_eq!(world.dig("_443._tcp.me.id", TLSA), (0, 2));
    let history = you.does(&["key", "me.id"])["history"].clone();
    let keys = |place: usize| history[place]["tls_keys"].as_array().unwrap().len();
    assert_eq!(
        (keys(0), keys(1), keys(2), keys(3)),
        (1, 0, 1, 1),
        "{history}"
    );
}

#[test]
fn a_revoked_name_has_no_pins() {
    let world = World::embedded();
    let me = owner(&world, &tlskey(1));
    assert_eq!(world.dig("_443._tcp.me.id", TLSA), (0, 2));
    me.does(&["name", "revoke", "me.id"]);
    assert_eq!(world.dig("_443._tcp.me.id", TLSA), (3, 0));
    let pinned = me.tries(&["tls", "pins", "me.id"]);
    assert_eq!(pinned.code, 1, "{pinned:?}");
}

#[test]
fn a_certificate_carries_what_the_key_of_the_name_signed() {
    let world = World::embedded();
    let me = owner(&world, "");
    let dir = world.path("tls").display().to_string();
    me.does(&["tls", "init", "me.id", "--dir", &dir]);
    let site = || {
        let file = |name: &str| std::fs::read_to_string(world.path("tls").join(name)).unwrap();
        Site::showing(
            &file("leaf.pem"),
            Some(&file("authority.pem")),
            &file("leaf.key"),
        )
    };
    let check = |site: &Site| {
        me.tries(&[
            "--json",
            "tls",
            "check",
            "me.id",
            "--connect",
            &site.address.to_string(),
        ])
    };
    let before = check(&site());
    assert_eq!(before.code, 1, "{before:?}");
    let signed = me.does(&["tls", "delegate", "--dir", &dir]);
    let site = site();
    let checked = check(&site);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert_eq!(checked.json()["pin"]["rule"], "T3");
    let file = zonefile(&me, &format!("{}\n", signed["record"].as_str().unwrap()));
    me.does(&["zonefile", "publish", "me.id", &file]);
    assert_eq!(
        world.dig("_443._tcp.me.id", TLSA),
        (0, 2),
        "from the zone file too"
    );
    let you = world.person("you");
    me.does(&[
        "name",
        "transfer",
        "me.id",
        &you.address(),
        "--drop-zonefile",
    ]);
    assert_eq!(check(&site).code, 1, "the owner has changed");
    me.cannot(
        &["tls", "delegate", "--dir", &dir],
        "no key here owns me.id",
    );
}
