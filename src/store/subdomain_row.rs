//! The keys and rows of the tables about subdomains.

use super::codec::{Field, Input, read_list};
use super::key;
use super::row::Announcement;
use super::subdomains::RowMark;
use crate::bns::address::Address;
use crate::bns::name::Name;
use crate::bns::subdomain::{Placed, Subdomain};

/// `name ‖ 0 ‖ row`
pub(super) fn carrier_key(name: &Name, row: u32) -> Vec<u8> {
    let mut key = Vec::new();
    key::history_of(&mut key, name.as_str());
    key.extend(key::height(row));
    key
}

/// `name ‖ 0 ‖ label ‖ 0`, with which all keys of a subdomain's records begin.
pub(super) fn records_key(subdomain: &Subdomain) -> Vec<u8> {
    let mut key = Vec::new();
    key::history_of(&mut key, subdomain.name().as_str());
    key.extend(subdomain.label().as_bytes());
    key.push(0);
    key
}

/// `name ‖ 0 ‖ label ‖ 0 ‖ row`
pub(super) fn record_key(subdomain: &Subdomain, row: u32) -> Vec<u8> {
    let mut key = records_key(subdomain);
    key.extend(key::height(row));
    key
}

/// `address ‖ row ‖ offset`
pub(super) fn creation_key(owner: &Address, row: u32, offset: u32) -> [u8; 29] {
    let mut bytes = Vec::with_capacity(29);
    owner.write(&mut bytes);
    bytes.extend(key::operation(row, offset));
    let mut key = [0; 29];
    key.copy_from_slice(&bytes);
    key
}

pub(super) fn read_record_key(key: &[u8]) -> Option<(Subdomain, u32)> {
    let mut parts = key.splitn(3, |&byte| byte == 0);
    let (name, label, row) = (parts.next()?, parts.next()?, parts.next()?);
    let subdomain = Subdomain::new(label, Name::from_bytes(name).ok()?).ok()?;
    Some((subdomain, key::number(row)?))
}

pub(super) fn read_row(row: u32, bytes: &[u8]) -> Option<(RowMark, Vec<Subdomain>)> {
    let mut input = Input::new(bytes);
    let announcement = Announcement {
        inventory_index: row,
        name: String::read(&mut input)?.parse().ok()?,
        hash: Field::read(&mut input)?,
        height: Field::read(&mut input)?,
        txid: Field::read(&mut input)?,
    };
    let block = Field::read(&mut input)?;
    let subdomains = read_list(&mut input, |input| String::read(input)?.parse().ok())?;
    input.finish((
        RowMark {
            announcement,
            block,
        },
        subdomains,
    ))
}

pub(super) fn write_record(placed: &Placed, out: &mut Vec<u8>) {
    placed.offset.write(out);
    placed.height.write(out);
    placed.txid.write(out);
    placed.carrier.as_str().to_owned().write(out);
    placed.sequence.write(out);
    placed.owner.write(out);
    placed.signer.write(out);
    placed.zonefile.write(out);
}

pub(super) fn read_record(row: u32, bytes: &[u8]) -> Option<Placed> {
    let mut input = Input::new(bytes);
    let placed = Placed {
        row,
        offset: Field::read(&mut input)?,
        height: Field::read(&mut input)?,
        txid: Field::read(&mut input)?,
        carrier: String::read(&mut input)?.parse().ok()?,
        sequence: Field::read(&mut input)?,
        owner: Field::read(&mut input)?,
        signer: Field::read(&mut input)?,
        zonefile: Field::read(&mut input)?,
    };
    input.finish(placed)
}
