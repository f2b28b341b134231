//! The table of what is served: one line per name with its A and its AAAA address, between tabs. The
//! generator writes it; bare servers and the scripts that configure the others read it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Seconds that every record of the comparison lives.
pub const TTL: u32 = 300;

/// What one name has.
pub struct Row {
    pub name: String,
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
}

impl Row {
    /// The row of the name with this number. Addresses are those set aside for benchmarks and
    /// documentation (RFC 2544, RFC 3849), and differ between neighbours.
    pub fn of(number: u32) -> Self {
        let v4 = u32::from(Ipv4Addr::new(198, 18, 0, 0)) | number & 0x1_ffff;
        let v6 = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)) | u128::from(number);
        Self {
            name: format!("name{number:07}.id"),
            v4: v4.into(),
            v6: v6.into(),
        }
    }

    /// Its line, without the end.
    pub fn line(&self) -> String {
        format!("{}\t{}\t{}", self.name, self.v4, self.v6)
    }

    /// Reads a line.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        Some(Self {
            name: fields.next()?.to_owned(),
            v4: fields.next()?.parse().ok()?,
            v6: fields.next()?.parse().ok()?,
        })
    }

    /// Its zone file: that of a person with a web site and mail, as in the demo.
    pub fn zonefile(&self) -> String {
        let Self { name, v4, v6 } = self;
        format!(
            "$ORIGIN {name}\n$TTL {TTL}\n@ A {v4}\n@ AAAA {v6}\n@ MX 10 mail\n\
             @ TXT \"v=spf1 mx -all\"\nwww CNAME {name}.\nmail A {v4}\n\
             _http._tcp URI 10 1 \"https://storage.example.com/{name}/profile.json\"\n"
        )
    }
}
