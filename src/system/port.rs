//! Who listens on a port: Linux says which socket has it (proc_net(5)), and root may see whose socket that is.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The tables of sockets.
const TABLES: [&str; 4] = ["udp", "udp6", "tcp", "tcp6"];
/// The state of a TCP socket that listens.
const LISTENING: &str = "0A";

/// A program that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its name.
    pub name: String,
    /// Its process.
    pub process: u32,
}

/// `NAME (process ID)`.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.process)
    }
}

/// Some programs, for people.
pub fn names(holders: &[Holder]) -> String {
    let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
    match names.is_empty() {
        true => "somebody whom only root sees".to_owned(),
        false => names.join(", "),
    }
}

/// A row of a table.
struct Row {
    local: SocketAddr,
    socket: String,
}

/// The programs that listen on a port of this machine; empty where nobody does, or where the system does not tell.
pub fn holders(port: u16) -> Vec<Holder> {
    let rows = rows();
    owners(rows.iter().filter(|row| row.local.port() == port))
}

/// The programs that have what is needed to listen on an address: `None` if nobody listens there, and none if the system
/// does not tell who it is.
pub fn holders_of(address: SocketAddr) -> Option<Vec<Holder>> {
    let rows = rows();
    let in_the_way = |row: &&Row| {
        let (ours, theirs) = (address.ip(), row.local.ip());
        row.local.port() == address.port()
            && (ours == theirs || ours.is_unspecified() || theirs.is_unspecified())
    };
    let found: Vec<&Row> = rows.iter().filter(in_the_way).collect();
    (!found.is_empty()).then(|| owners(found.into_iter()))
}

fn rows() -> Vec<Row> {
    let tables = TABLES.iter().map(|table| {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        listening(&text, table.starts_with("tcp"))
    });
    tables.flatten().collect()
}

fn owners<'r>(rows: impl Iterator<Item = &'r Row>) -> Vec<Holder> {
    let sockets: BTreeSet<String> = rows.map(|row| format!("socket:[{}]", row.socket)).collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| has_one(*id, &sockets))
        .map(|process| {
            let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            let name = name.trim().to_owned();
            Holder { name, process }
        })
        .collect()
}

/// The sockets in a table that listen.
fn listening(table: &str, is_tcp: bool) -> Vec<Row> {
    let rows = table.lines().skip(1).map(|row| row.split_whitespace());
    rows.filter_map(|row| {
        let columns: Vec<&str> = row.collect();
        let (local, state) = (columns.get(1)?, columns.get(3)?);
        let row = Row {
            local: address(local)?,
            socket: (*columns.get(9)?).to_owned(),
        };
        (!is_tcp || *state == LISTENING).then_some(row)
    })
    .collect()
}

/// An address as the tables write it: words of 32 bits in the machine's own order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let port = u16::from_str_radix(port, 16).ok()?;
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].map(u32::to_ne_bytes);
            let bytes = <[u8; 16]>::try_from(words.concat()).ok()?;
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn has_one(process: u32, sockets: &BTreeSet<String>) -> bool {
    let files = fs::read_dir(format!("/proc/{process}/fd"));
    let mut files = files.into_iter().flatten().flatten();
    files.any(|file| {
        let target = fs::read_link(file.path()).unwrap_or_default();
        target.to_str().is_some_and(|text| sockets.contains(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_found() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n\
                     1: 0100007F:0035 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n\
                     2: 0100007F:0036 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1\n";
        let found = |is_tcp| -> Vec<String> {
            let rows = listening(table, is_tcp).into_iter();
            rows.map(|row| format!("{} {}", row.local, row.socket))
                .collect()
        };
        assert_eq!(found(true), ["127.0.0.1:53 4711", "127.0.0.1:54 4713"]);
        assert_eq!(found(false).len(), 3);
        let six = address("00000000000000000000000001000000:0035");
        assert_eq!(six, "[::1]:53".parse().ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn we_find_ourselves() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("an address");
        let ours = |holders: Vec<Holder>| {
            let mut holders = holders.into_iter();
            holders.any(|holder| holder.process == std::process::id())
        };
        assert!(ours(holders(address.port())));
        assert!(ours(holders_of(address).expect("somebody")));
        let other = SocketAddr::from(([127, 0, 0, 53], address.port()));
        assert!(holders_of(other).is_none());
    }
}
