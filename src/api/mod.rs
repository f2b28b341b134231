//! How other programs ask the running daemon.
//!
//! The control socket is a unix socket that only its owner and root can use. One request is one line of
//! JSON, one reply is one line of JSON, in turn, as long as the connection lasts:
//!
//! ```text
//! {"v":1,"lookup":{"name":"werner.id","type":"A"}}
//! {"v":1,"lookup":{"name":"werner.id","type":"A","rcode":"NOERROR","records":[...],...}}
//! {"v":1,"status":{}}
//! {"v":1,"error":{"kind":"trouble","message":"..."}}
//! ```
//!
//! [`lookup`], [`explain`], [`status`] [`names`] and [`owner`] hold the payloads; they are what `--json` prints, so a field keeps
//! its name and meaning for ever, and new ones may appear. Hashes, addresses and records are texts, because
//! the reader may be a shell script. [`control`] serves, [`socket`] makes the file, [`client`] asks.
//!
//! Nothing here knows how an answer is found: the daemon hands in a [`control::Control`]. Nothing that
//! arrives is trusted: lines, connections and waiting are bounded.

pub mod ask;
pub mod cache;
pub mod client;
pub mod control;
pub mod explain;
pub mod lookup;
pub mod message;
pub mod names;
pub mod owner;
pub mod portal;
pub mod prefer;
pub mod socket;
pub mod status;
