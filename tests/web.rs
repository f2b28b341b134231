//! From a name's key to a lock: the programs of others, as people run them, on a machine whose DNS is bnsd.
//!
//! Each scene has a network and mounts of its own, a chain with a name on it, and servers with the files of its owner. No
//! flag and no policy weakens what a program checks, or tells it where a name is.

/// OpenSSL, GnuTLS, OpenSSH and Postfix, which read TLSA and SSHFP records.
mod dane;

/// Firefox, driven.
mod firefox;

/// Keys that a name has no more.
mod gone;

/// Chromium, Firefox, curl, OpenSSL and Python, which show a lock or refuse.
mod lock;

/// Where scenes are set.
mod machine;

/// What could be done with the key of this machine's root.
mod root;

/// What an owner has on the server.
mod site;

/// How long answers wait for certificates.
mod speed;
