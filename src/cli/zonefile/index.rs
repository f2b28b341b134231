//! The numbered index of an export: `index.tsv`, the first file in it.
//!
//! Its first line is [`HEAD`]. Each further line is an announcement in the order of the chain, six fields with a tab between
//! them: number (from 1, the same for every node), name, hash of the zone file, transaction, height, and `present` or `absent`:
//! whether the export has the file. The file with hash `h` is `h[0..2]/h[2..4]/h.txt`. Lines end in a line feed.

use std::str::FromStr;

use crate::names::AnnouncedZonefile;

/// The name of the index in an export.
pub(super) const INDEX: &str = "index.tsv";
/// Its first line.
pub(super) const HEAD: &str = "# zone files of the Blockchain Name System, format 1";
/// Bytes of a line, at most: a name has 37, hash and transaction 104.
pub(super) const LINE_MAX: usize = 256;

/// Appends the line of an announcement.
pub(super) fn write(row: &AnnouncedZonefile, out: &mut String) {
    let presence = if row.present { "present" } else { "absent" };
    let fields = [
        row.index.to_string(),
        row.name.to_string(),
        row.hash.to_string(),
        row.txid.to_string(),
        row.height.to_string(),
        presence.to_owned(),
    ];
    out.push_str(&fields.join("\t"));
    out.push('\n');
}

/// The announcement of a line without its end; `None` if it is none.
pub(super) fn read(line: &str) -> Option<AnnouncedZonefile> {
    fn field<T: FromStr>(text: Option<&str>) -> Option<T> {
        text?.parse().ok()
    }
    let mut fields = line.split('\t');
    let row = AnnouncedZonefile {
        index: field(fields.next())?,
        name: field(fields.next())?,
        hash: field(fields.next())?,
        txid: field(fields.next())?,
        height: field(fields.next())?,
        present: match fields.next()? {
            "present" => true,
            "absent" => false,
            _ => return None,
        },
    };
    fields.next().is_none().then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back() {
        let hash = "087dcea832e706022a1fd3fa723cf3261e5b5e2f";
        let text = format!("7\tanna.id\t{hash}\t{}\t373601\tabsent", "ab".repeat(32));
        let row = read(&text).expect("a row");
        assert_eq!((row.index, row.height, row.present), (7, 373_601, false));
        let mut out = String::new();
        write(&row, &mut out);
        assert_eq!(out, format!("{text}\n"));
        assert!(out.len() <= LINE_MAX);
        for wrong in [
            "",
            HEAD,
            "7\tanna.id",
            &format!("{text}\t"),
            &text.replace("absent", "here"),
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
