//! Users of the system by name or number (passwd(5)).

use std::fs;

/// Where they stand.
const PASSWD: &str = "/etc/passwd";

/// The number of a user, given by name or number; `None` if there is no such name.
pub fn number(user: &str) -> Option<u32> {
    user.parse().ok().or_else(|| {
        let users = fs::read_to_string(PASSWD).ok()?;
        find(user, &users)
    })
}

fn find(user: &str, users: &str) -> Option<u32> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(user);
        let number = fields.nth(1)?;
        is_it.then(|| number.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_it_stands() {
        let users = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbroken\n";
        assert_eq!(find("alice", users), Some(1_000));
        assert_eq!(find("alic", users), None);
        assert_eq!(find("broken", users), None);
        assert_eq!(number("1234"), Some(1_234));
    }
}
