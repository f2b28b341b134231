//! Who listens on a port: Linux says which socket has it (proc_net(5)), and root may see whose socket that is.

use std::collections::BTreeSet;
use std::fs;

/// The tables of sockets.
const TABLES: [&str; 4] = ["udp", "udp6", "tcp", "tcp6"];
/// The state of a TCP socket that listens.
const LISTENING: &str = "0A";

/// The programs that listen on a port of this machine, as `NAME (process ID)`; empty where nobody does, or where the
/// system does not tell.
pub fn holders(port: u16) -> Vec<String> {
    let sockets: BTreeSet<String> = TABLES
        .iter()
        .flat_map(|table| {
            let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
            listening(&text, port, table.starts_with("tcp"))
        })
        .map(|socket| format!("socket:[{socket}]"))
        .collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| has_one(*id, &sockets))
        .map(|id| {
            let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
            format!("{} (process {id})", name.trim())
        })
        .collect()
}

/// The sockets in a table that listen on a port.
fn listening(table: &str, port: u16, is_tcp: bool) -> Vec<String> {
    let ending = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|row| row.split_whitespace());
    rows.filter_map(|row| {
        let columns: Vec<&str> = row.collect();
        let (local, state) = (columns.get(1)?, columns.get(3)?);
        let listens = local.ends_with(&ending) && (!is_tcp || *state == LISTENING);
        listens.then(|| columns.get(9).map(|socket| (*socket).to_owned()))?
    })
    .collect()
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
        assert_eq!(listening(table, 53, true), ["4711"]);
        assert_eq!(listening(table, 53, false), ["4711", "4712"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn we_find_ourselves() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let port = socket.local_addr().expect("an address").port();
        let ours = format!("(process {})", std::process::id());
        let found = holders(port);
        assert!(
            found.iter().any(|holder| holder.ends_with(&ours)),
            "{found:?}"
        );
    }
}
