//! A zone as canonical text: `parse(origin, render(zone))` gives the same zone.
//!
//! It is meant to be announced on the chain and read by historical clients as well: `$ORIGIN` without its
//! final dot, owners relative to it, strings in quotes with `;` escaped, as the reference writes them.

use hickory_proto::rr::{Name, RecordType};

use super::name::write_label;
use super::zone::Zone;
use super::{ZoneRecord, mnemonic, rdata};

/// Writes the zone as text, one record on a line, in canonical order.
pub fn render(zone: &Zone) -> String {
    let mut text = String::from("$ORIGIN ");
    write_labels(&mut text, zone.origin.iter());
    text.push_str(&format!("\n$TTL {}\n", zone.default_ttl));
    for record in zone.records() {
        write_record(&mut text, zone, record);
    }
    text
}

/// The presentation form of a record's data, as it stands behind the type in a zone file (RFC 1035 §5.1; types
/// without one, and data that does not fit its type, as RFC 3597 §5 writes them).
pub fn render_data(rtype: RecordType, wire: &[u8]) -> String {
    let mut text = String::new();
    rdata::write(&mut text, rtype.into(), wire);
    text
}

fn write_record(text: &mut String, zone: &Zone, record: ZoneRecord<'_>) {
    write_owner(text, &zone.origin, record.owner);
    if record.ttl != zone.default_ttl {
        text.push_str(&format!(" {}", record.ttl));
    }
    text.push_str(&format!(" {} ", mnemonic(record.rtype)));
    rdata::write(text, record.rtype.into(), record.rdata);
    text.push('\n');
}

fn write_owner(text: &mut String, origin: &Name, owner: &Name) {
    let below = owner.iter().len().saturating_sub(origin.iter().len());
    if below == 0 {
        text.push('@');
    } else {
        write_labels(text, owner.iter().take(below));
    }
}

fn write_labels<'n>(text: &mut String, labels: impl Iterator<Item = &'n [u8]>) {
    for (index, label) in labels.enumerate() {
        if index > 0 {
            text.push('.');
        }
        write_label(text, label);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;
    use crate::zonefile::{ZONEFILE_MAX, parse};

    fn origin() -> Name {
        Name::from_ascii("foo.id.").expect("a name")
    }

    /// Fragments that reach most of the parser when they are strung together at random.
    const FRAGMENTS: &[&str] = &[
        "\n",
        "\n",
        "\n",
        "\n",
        " ",
        " ",
        "\t",
        "(",
        ")",
        ";",
        "\"",
        "\\",
        "\\000",
        "\\255",
        "@",
        "*",
        ".",
        "$ORIGIN ",
        "$TTL ",
        "$INCLUDE ",
        "$GENERATE ",
        "foo.id",
        "foo.id.",
        "bank.id.",
        "www",
        "a.b.",
        "_443._tcp",
        "IN ",
        "CH ",
        "60 ",
        "1h ",
        "2147483648 ",
        "A ",
        "AAAA ",
        "CNAME ",
        "DNAME ",
        "MX ",
        "TXT ",
        "SOA ",
        "NS ",
        "SRV ",
        "URI ",
        "TLSA ",
        "SSHFP ",
        "CAA ",
        "NAPTR ",
        "HTTPS ",
        "SVCB ",
        "TYPE65280 ",
        "TYPE1 ",
        "\\# ",
        "0 ",
        "1 ",
        "2 ",
        "3 ",
        "4 ",
        "10 ",
        "192.0.2.1 ",
        "2001:db8::1 ",
        "C0000201 ",
        "DEADBEEF ",
        "\"x y\" ",
        "\"\" ",
        "issue ",
        "alpn=h2 ",
        "port=1 ",
        "key9=\"\\001\" ",
        "mandatory=port ",
        "no-default-alpn ",
        "ipv4hint=192.0.2.1,192.0.2.2 ",
        "\r\n",
        "\u{feff}",
        "\0",
    ];

    /// Whole lines that are mostly right, so that many records survive.
    fn line() -> impl Strategy<Value = String> {
        let owner = prop_oneof![
            Just("@".to_owned()),
            Just(String::new()),
            "[a-cA-C]{1,2}(\\.[a-c*]{1,2}){0,3}",
            "(\\\\[0-1][0-9][0-9]|\\\\[.;@$()\"]|[a-z_*-]){1,5}",
            Just("www.foo.id.".to_owned()),
            Just("foo.bank.id.".to_owned()),
        ];
        let ttl = prop_oneof![
            Just(""),
            Just("60 "),
            Just("1h30m IN "),
            Just("IN 4294967295 ")
        ];
        let text = "(\\\\2[0-4][0-9]|\\\\[\"\\\\;=]|[ !#-:<-Z^-~;]){0,20}";
        let data = prop_oneof![
            any::<[u8; 4]>().prop_map(|ip| format!("A {}", std::net::Ipv4Addr::from(ip))),
            any::<[u8; 16]>().prop_map(|ip| format!("AAAA {}", std::net::Ipv6Addr::from(ip))),
            proptest::collection::vec(text, 1..4)
                .prop_map(|texts| format!("TXT \"{}\"", texts.join("\" \""))),
            (any::<u16>(), any::<u16>(), text)
                .prop_map(|(a, b, text)| format!("URI {a} {b} \"{text}\"")),
            "(CNAME|NS|DNAME|PTR|MX 1|SRV 1 2 3) [A-Za-z]{1,3}(\\.example\\.)?",
            "SOA a\\.b\\. c [0-9]{1,9} 1h 2 3d 4",
            "CAA 0 [a-z]{1,5} \"[a-z;=. ]{0,9}\"",
            "TLSA [0-3] [01] [012] [0-9a-f]{64}",
            "HTTPS [01] [.a] (alpn=\"[a-z,]{1,5}\" )?(key[0-9]{1,2}=[a-z\\\\\"]{0,4} )?(port=[0-9]{1,5})?",
            (any::<u16>(), proptest::collection::vec(any::<u8>(), 0..20)).prop_map(
                |(rtype, data)| {
                    let hex = crate::hash::encode_hex(&data);
                    format!("TYPE{rtype} \\# {} {hex}", data.len())
                }
            ),
        ];
        (owner, ttl, data).prop_map(|(owner, ttl, data)| format!("{owner} {ttl}{data}\n"))
    }

    /// The laws that hold for every input.
    fn check(bytes: &[u8]) -> Result<Zone, TestCaseError> {
        let zone = parse(&origin(), bytes).expect("short enough");
        for record in zone.records() {
            prop_assert!(origin().zone_of(record.owner), "{}", record.owner);
            prop_assert_eq!(
                &record.owner.to_lowercase().to_string(),
                &record.owner.to_string()
            );
        }
        let text = render(&zone);
        if text.len() <= ZONEFILE_MAX {
            let again = parse(&origin(), text.as_bytes()).expect("short enough");
            prop_assert_eq!(again.ignored(), &[], "{}", text);
            prop_assert_eq!(&again, &zone, "{}", text);
            prop_assert_eq!(render(&again), text);
        }
        Ok(zone)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same_zone(
            head in prop_oneof![Just("$ORIGIN foo.id\n$TTL 300\n"), Just(""), Just("$ORIGIN b.foo.id.\n")],
            lines in proptest::collection::vec(line(), 0..40),
        ) {
            check((head.to_owned() + &lines.concat()).as_bytes())?;
        }

        #[test]
        fn no_fragments_break_the_laws(
            picks in proptest::collection::vec(proptest::sample::select(FRAGMENTS), 0..200),
        ) {
            check(picks.concat().as_bytes())?;
        }

        #[test]
        fn no_bytes_break_the_laws(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            check(&bytes)?;
        }
    }

    #[test]
    fn the_text_is_what_historical_clients_read() {
        let text =
            "$TTL 60\nb A 192.0.2.1\n@ URI 10 1 \"x:y;z\"\na 5 TXT x\\;y\n\\@.\\$x A 192.0.2.2\n";
        let zone = parse(&origin(), text.as_bytes()).expect("short enough");
        assert_eq!(
            render(&zone),
            "$ORIGIN foo.id\n$TTL 60\n@ URI 10 1 \"x:y\\;z\"\n\\@.\\$x A 192.0.2.2\n\
             a 5 TXT \"x\\;y\"\nb A 192.0.2.1\n"
        );
    }

    /// The goal is 5 ms in a release build ; asserted is ten times that.
    #[test]
    fn the_worst_files_are_parsed_in_time() {
        let deep = "a.".repeat(120);
        let seeds = [
            "(".to_owned(),
            "a\n".to_owned(),
            " TXT a\n".to_owned(),
            " HTTPS\n".to_owned(),
            "A A A\n".to_owned(),
            "\"\"".to_owned(),
            "a TYPE1 \\# ( 1\n".to_owned(),
            format!("{deep}b A 192.0.2.1\n"),
            "x TXT \"\\000\\255\"\n".to_owned(),
            "HTTPS 1 . alpn=a,b,c key9=a key10=b\n".to_owned(),
        ];
        for seed in seeds {
            let text = seed.repeat(ZONEFILE_MAX / seed.len());
            let zone = parse(&origin(), text.as_bytes()).expect("short enough");
            // Once is enough: other tests run at the same time.
            let is_in_time = (0..20).any(|_| {
                let start = Instant::now();
                let _ = parse(&origin(), text.as_bytes());
                start.elapsed() < Duration::from_millis(50)
            });
            assert!(is_in_time, "{seed:?}");
            assert!(zone.records().count() <= crate::zonefile::RECORDS_MAX);
        }
    }
}
