//! Users of the system, as /etc/passwd has them (passwd(5)).

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// Where they stand.
const PASSWD: &str = "/etc/passwd";

/// A user of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The number of the first group.
    pub gid: u32,
    /// The home directory; empty if there is none.
    pub home: PathBuf,
}

/// All users; none where the file is missing, as in a small image.
pub fn all() -> io::Result<Vec<User>> {
    match fs::read_to_string(PASSWD) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        text => Ok(read(&text?)),
    }
}

/// The number of a user, given by name or number; `None` if there is no such name.
pub fn number(user: &str) -> Option<u32> {
    let named = || {
        let all = all().ok()?;
        all.iter().find(|it| it.name == user).map(|it| it.uid)
    };
    user.parse().ok().or_else(named)
}

/// The users in the text of the file; lines that cannot be read are left out.
fn read(text: &str) -> Vec<User> {
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, rest @ ..] = fields.as_slice() else {
            return None;
        };
        Some(User {
            name: (*name).to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: rest.get(1).map(PathBuf::from).unwrap_or_default(),
        })
    };
    text.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_as_they_stand() {
        let users =
            "bnsd:x:998:997::/var/lib/bnsd:/bin/false\nbroken\nhalf:x\nbare:x:1:2\nodd:x:a:b\n";
        let user = |name: &str, uid, gid, home: &str| User {
            name: name.to_owned(),
            uid,
            gid,
            home: home.into(),
        };
        let service = user("bnsd", 998, 997, "/var/lib/bnsd");
        assert_eq!(read(users), [service, user("bare", 1, 2, "")]);
        assert_eq!(number("1234"), Some(1_234));
    }
}
