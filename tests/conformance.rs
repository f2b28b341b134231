//! The conformance checklist, row by row, against the running program through sockets.
//!
//! A test is called after its row and the RFC that asks for it. The client writes its queries byte by byte, since
//! half of the rows are about bytes that no library would send.

mod bench;

/// One message: header, question, EDNS, truncation.
mod message;

/// Streams: pipelining, limits, slow clients.
mod stream;

/// Names of the chain: zone files, wildcards, chains of aliases.
mod zone;

/// Names that never leave the machine, and those that collide.
mod namespaces;

/// What never leaves the machine.
mod privacy;

/// DNS over TLS and over HTTPS.
mod encrypted;

/// Who may ask; what is written down.
mod exposure;

/// Floods and garbage, in short.
mod hostile;

/// Other people's clients in a network namespace, on port 53.
mod clients;

/// Networks with a login page.
mod portal;

/// Validators that ask bnsd.
mod validators;
