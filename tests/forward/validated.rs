//! DNSSEC validation by choice, on a signed root of our own: what is proved, what is open, what is refused.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;

use super::answers;
use crate::common::resolver::{Answer, Resolver, query, with_edns};
use crate::common::unbound::Unbound;
use crate::common::upstream::{Send, Upstream, asked, question_end};

/// What a client says that it understands.
#[derive(Clone, Copy)]
enum Wants {
    Nothing,
    Ad,
    Do,
    Cd,
}

fn ask(resolver: &Resolver, name: &str, rtype: RecordType, wants: Wants) -> Answer {
    let mut message = with_edns(query(name, rtype));
    match wants {
        Wants::Nothing => {}
        Wants::Ad => message.metadata.authentic_data = true,
        Wants::Do => {
            message.edns.as_mut().unwrap().set_dnssec_ok(true);
        }
        Wants::Cd => message.metadata.checking_disabled = true,
    }
    resolver.send(&message)
}

/// Types in all sections.
fn types(answer: &Answer) -> Vec<RecordType> {
    let message = &answer.message;
    let records = message.answers.iter().chain(&message.authorities);
    records.map(|record| record.record_type()).collect()
}

fn is_authentic(answer: &Answer) -> bool {
    answer.message.metadata.authentic_data
}

fn validating(unbound: &Unbound, anchor: &std::path::Path) -> Resolver {
    Resolver::start(&format!(
        "upstreams = [\"{}\"]\nvalidate = true\ntrust-anchor = {anchor:?}",
        unbound.address
    ))
}

#[test]
fn what_is_signed_is_proved_and_what_is_forged_is_refused() {
    let (unbound, anchor) = Unbound::start_signed();
    let resolver = validating(&unbound, &anchor);
    let a = |name: &str, wants| ask(&resolver, name, RecordType::A, wants);
    // The first comes from upstream, the second from what is kept.
    for _ in 0..2 {
        let signed = a("www.example.org.", Wants::Ad);
        assert_eq!(signed.addresses(), ["198.51.100.9"]);
        assert!(is_authentic(&signed) && types(&signed) == [RecordType::A]);
        assert!(
            !is_authentic(&a("www.example.org.", Wants::Nothing)),
            "nobody asked"
        );
        let whole = a("www.example.org.", Wants::Do);
        assert!(is_authentic(&whole));
        assert_eq!(types(&whole)[..2], [RecordType::A, RecordType::RRSIG]);
        let open = a("www.example.com.", Wants::Do);
        assert_eq!(open.addresses(), ["93.184.215.14"]);
        assert!(!is_authentic(&open), "its zone is delegated without a DS");
        for wants in [Wants::Nothing, Wants::Ad, Wants::Do] {
            let forged = a("www.forged.org.", wants);
            assert_eq!(forged.rcode(), ResponseCode::ServFail);
            assert!(forged.addresses().is_empty());
        }
        let unchecked = a("www.forged.org.", Wants::Cd);
        assert_eq!(
            unchecked.addresses(),
            ["203.0.113.13"],
            "whoever checks it gets it"
        );
        assert!(!is_authentic(&unchecked));
    }
    let again = a("www.forged.org.", Wants::Nothing);
    assert!(matches!(again.ede(), Some(6 | 13)), "{:?}", again.ede());
}

/// Response code, AD, and the types of the records.
fn seen(
    resolver: &Resolver,
    name: &str,
    rtype: RecordType,
) -> (ResponseCode, bool, Vec<RecordType>) {
    let answer = ask(resolver, name, rtype, Wants::Ad);
    (answer.rcode(), is_authentic(&answer), types(&answer))
}

#[test]
fn aliases_wildcards_and_denials_are_proved() {
    let (unbound, anchor) = Unbound::start_signed();
    let resolver = validating(&unbound, &anchor);
    let see = |name: &str, rtype| seen(&resolver, name, rtype);
    use RecordType as T;
    let ok = ResponseCode::NoError;
    assert_eq!(
        see("alias.example.org.", T::A),
        (ok, true, vec![T::CNAME, T::A])
    );
    assert_eq!(see("x.wild.example.org.", T::A), (ok, true, vec![T::A]));
    assert_eq!(see("www.example.org.", T::TXT), (ok, true, vec![T::SOA]));
    assert_eq!(
        see("nx.example.org.", T::A),
        (ResponseCode::NXDomain, true, vec![T::SOA])
    );
    assert_eq!(
        see("nosuch-tld.", T::A),
        (ResponseCode::NXDomain, true, vec![T::SOA])
    );
    assert_eq!(see("example.org.", T::DS), (ok, true, vec![T::DS]));
    assert_eq!(
        see("com.", T::DS),
        (ok, true, vec![T::SOA]),
        "proved to be unsigned"
    );
    assert_eq!(
        see("nx.example.com.", T::A),
        (ResponseCode::NXDomain, false, vec![T::SOA])
    );
    let denied = ask(&resolver, "nx.example.org.", T::A, Wants::Do);
    assert!(types(&denied).contains(&T::NSEC) && is_authentic(&denied));
    assert_eq!(
        see("alias.example.org.", T::TXT),
        (ok, true, vec![T::CNAME, T::SOA])
    );
    assert_eq!(
        see("alias.example.org.", T::CNAME),
        (ok, true, vec![T::CNAME])
    );
    assert_eq!(
        see("open.example.org.", T::A),
        (ok, false, vec![T::CNAME, T::A])
    );
    assert_eq!(
        see("x.moved.example.org.", T::A),
        (ok, true, vec![T::DNAME, T::CNAME, T::A])
    );
}

/// Most top-level domains deny by hashes, and leave unsigned delegations out.
#[test]
fn denials_by_hashes_are_proved() {
    let (unbound, anchor) = Unbound::start_signed();
    let resolver = validating(&unbound, &anchor);
    let see = |name: &str, rtype| seen(&resolver, name, rtype);
    use RecordType as T;
    let ok = ResponseCode::NoError;
    assert_eq!(
        see("www.open.org.", T::A),
        (ok, false, vec![T::A]),
        "opted out"
    );
    assert_eq!(see("www.hashed.org.", T::A), (ok, true, vec![T::A]));
    assert_eq!(see("www.hashed.org.", T::TXT), (ok, true, vec![T::SOA]));
    assert_eq!(see("nx.hashed.org.", T::A).0, ResponseCode::NXDomain);
    assert_eq!(see("nx.org.", T::A).0, ResponseCode::NXDomain);
    assert_eq!(see("alias.hashed.org.", T::TXT).0, ok);
    assert_eq!(see("x.wild.hashed.org.", T::A).2, [T::A]);
    assert_eq!(see("x.wild.hashed.org.", T::TXT).0, ok);
}

/// What the resolver behind an upstream says to a query.
fn relayed(behind: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let patience = Duration::from_secs(5);
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send_to(query, behind).unwrap();
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

/// An alias leads to a name of ours that upstreams deny. Its denial would be proved by asking for the name itself.
#[test]
fn the_denied_target_of_an_alias_is_not_asked_for_if_it_may_be_ours() {
    let (unbound, anchor) = Unbound::start_signed();
    let behind = unbound.address;
    for (namespaces, may_be_ours) in [
        ("", false),
        ("[namespaces]\ncom = \"only\"", true),
        ("[namespaces]\ncom = \"exact\"", true),
        ("[namespaces]\ncom = \"legacy-first\"", true),
        ("[namespaces]\ncom = \"off\"", false),
    ] {
        let listening = Upstream::start(move |seen| {
            let response = relayed(behind, &seen.bytes);
            response.into_iter().map(Send::Reply).collect()
        });
        let resolver = Resolver::start(&format!(
            "upstreams = [\"{}\"]\nvalidate = true\ntrust-anchor = {anchor:?}\n{namespaces}",
            listening.address
        ));
        let answer = ask(&resolver, "open.example.org.", RecordType::TXT, Wants::Ad);
        let expected = match namespaces.contains("only") {
            true => ResponseCode::ServFail, // nothing is known of the chain
            false => ResponseCode::NoError,
        };
        assert_eq!(answer.rcode(), expected, "{namespaces}");
        let names: Vec<String> = listening
            .seen()
            .iter()
            .map(|seen| asked(&seen.bytes))
            .collect();
        let left = names.iter().any(|name| name == "www.example.com.");
        assert_eq!(left, !may_be_ours, "{namespaces}: {names:?}");
        // Not even its zone is asked for where nothing below `com` leaves the machine.
        let below = names.iter().any(|name| name.ends_with("com."));
        assert_eq!(below, !namespaces.contains("only"), "{names:?}");
    }
}

/// An upstream that takes records out of signed answers: what is left is signed, and says something else.
#[test]
fn an_answer_that_lost_its_end_is_refused() {
    let (unbound, anchor) = Unbound::start_signed();
    let behind = unbound.address;
    let stripping = Upstream::start(move |seen| {
        let Some(response) = relayed(behind, &seen.bytes) else {
            return Vec::new();
        };
        let name = asked(&seen.bytes);
        let mut message = Message::from_vec(&response).unwrap();
        if name.starts_with("alias.") {
            message
                .answers
                .retain(|record| record.name.to_lowercase().to_string() == name);
        }
        if name.starts_with("nx.") {
            message
                .authorities
                .retain(|record| record.record_type() == RecordType::SOA);
        }
        if name.starts_with("x.wild.") {
            message.authorities.clear();
        }
        let mut bytes = message.to_vec().unwrap();
        let end = question_end(&seen.bytes);
        bytes[12..end].copy_from_slice(&seen.bytes[12..end]);
        vec![Send::Reply(bytes)]
    });
    let resolver = Resolver::start(&format!(
        "upstreams = [\"{}\"]\nvalidate = true\ntrust-anchor = {anchor:?}",
        stripping.address
    ));
    let see = |name: &str| ask(&resolver, name, RecordType::A, Wants::Ad).rcode();
    assert_eq!(see("www.example.org."), ResponseCode::NoError);
    for cut in [
        "alias.example.org.",
        "nx.example.org.",
        "x.wild.example.org.",
    ] {
        assert_eq!(see(cut), ResponseCode::ServFail, "{cut}");
    }
}

#[test]
fn everything_signed_is_refused_with_the_key_of_another_root() {
    let (unbound, _) = Unbound::start_signed();
    let (_other, anchor) = Unbound::start_signed();
    let resolver = validating(&unbound, &anchor);
    let answer = ask(&resolver, "www.example.org.", RecordType::A, Wants::Nothing);
    assert_eq!(
        (answer.rcode(), answer.ede()),
        (ResponseCode::ServFail, Some(6))
    );
}

#[test]
fn an_upstream_without_signatures_proves_nothing() {
    let (_unbound, anchor) = Unbound::start_signed();
    // Every name is there, it says, and none is signed; it claims AD.
    let stripping = Upstream::start(answers);
    let office = Upstream::start(answers);
    let resolver = Resolver::start(&format!(
        "upstreams = [\"{}\"]\nvalidate = true\ntrust-ad = true\ntrust-anchor = {anchor:?}\n\
         [dns.routes]\n\"corp.example\" = [\"{}\"]",
        stripping.address, office.address
    ));
    let answer = ask(&resolver, "www.example.org.", RecordType::A, Wants::Ad);
    assert_eq!(
        (answer.rcode(), answer.ede()),
        (ResponseCode::ServFail, Some(6))
    );
    assert!(stripping.count() <= 32, "{} packets", stripping.count());
    let routed = ask(&resolver, "www.corp.example.", RecordType::A, Wants::Ad);
    assert_eq!(
        routed.addresses(),
        ["198.51.100.5"],
        "the public root knows nothing of it"
    );
    assert!(!is_authentic(&routed));
}

#[test]
fn a_file_without_keys_is_an_error_at_start() {
    let scratch = tempfile::tempdir().unwrap();
    let (file, anchor) = (
        scratch.path().join("bnsd.toml"),
        scratch.path().join("root.key"),
    );
    for (text, words) in [
        (None, "cannot read keys from"),
        (Some("; nothing\n"), "there is no key in it"),
    ] {
        if let Some(text) = text {
            std::fs::write(&anchor, text).unwrap();
        }
        let config = format!(
            "listen = [\"127.0.0.1:0\"]\n[dns]\nvalidate = true\ntrust-anchor = {anchor:?}\n"
        );
        std::fs::write(&file, config).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_bnsd"))
            .args(["serve", "--config"])
            .arg(&file)
            .arg("--data-dir")
            .arg(scratch.path().join("data"))
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{error}");
        assert!(
            error.contains(words) && error.contains("dns.trust-anchor"),
            "{error}"
        );
    }
}
