//! Keys that are put together from several parts. [`super`] says which table has which.

use crate::bns::name::Name;
use crate::hash::ZonefileHash;

use super::codec::{Field as _, Input, write_script};
use super::name_row::Place;

/// Ends a name or id inside a key; it is no character of either, so no key is a prefix of another's.
const END: u8 = 0;

/// `height`
pub(super) fn height(height: u32) -> [u8; 4] {
    height.to_be_bytes()
}

/// `height ‖ vtxindex`
pub(super) fn operation(height: u32, vtxindex: u32) -> [u8; 8] {
    ((u64::from(height) << 32) | u64::from(vtxindex)).to_be_bytes()
}

/// The part of a key behind `height`.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// `owner ‖ name`, or what all keys of an owner begin with.
pub(super) fn owner(key: &mut Vec<u8>, sender: &[u8], name: &str) {
    key.clear();
    write_script(sender, key);
    key.extend_from_slice(name.as_bytes());
}

/// `hash ‖ name or id`
pub(super) fn behind_hash(key: &mut Vec<u8>, hash: &[u8], text: &str) {
    key.clear();
    key.extend_from_slice(hash);
    key.extend_from_slice(text.as_bytes());
}

/// `height ‖ vtxindex ‖ name`
pub(super) fn name_history(key: &mut Vec<u8>, place: Place, name: &str) {
    key.clear();
    key.extend_from_slice(&operation(place.height, place.vtxindex));
    key.extend_from_slice(name.as_bytes());
}

/// The name in such a key.
pub(super) fn name_of_history(key: &[u8]) -> Option<Name> {
    read_name(key.get(8..)?)
}

/// `id ‖ 0 ‖ height ‖ vtxindex`; up to format 4 names had such keys too.
pub(super) fn history(key: &mut Vec<u8>, text: &str, height: u32, vtxindex: u32) {
    history_of(key, text);
    key.extend_from_slice(&operation(height, vtxindex));
}

/// `name or id ‖ 0`
pub(super) fn history_of(key: &mut Vec<u8>, text: &str) {
    key.clear();
    key.extend_from_slice(text.as_bytes());
    key.push(END);
}

/// Height and vtxindex at the end of a history key.
pub(super) fn read_place(rest: &[u8]) -> Option<(u32, u32)> {
    let mut input = Input::new(rest);
    let place = (u32::read(&mut input)?, u32::read(&mut input)?);
    input.finish(place)
}

/// `zone file hash ‖ inventory index`
pub(super) fn announced(hash: &ZonefileHash, inventory_index: u32) -> [u8; 24] {
    let mut key = [0; 24];
    key[..20].copy_from_slice(hash.as_bytes());
    key[20..].copy_from_slice(&inventory_index.to_be_bytes());
    key
}

/// The name at the end of a key.
pub(super) fn read_name(rest: &[u8]) -> Option<Name> {
    Name::from_bytes(rest).ok()
}
