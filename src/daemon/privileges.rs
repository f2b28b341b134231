//! Root gives up its rights at one place: after the sockets are bound, before any thread is started.
//!
//! Whoever starts bnsd as root without a service manager wants port 53 and nothing else of root. So the process becomes
//! the user of the key `user`, or `bnsd` if there is one, with that user's groups. The kernel takes all capabilities from
//! a process that is root no more (capabilities(7)). That there is no way back is tried out. Rights belong to a thread on
//! Linux, and later threads have those of the one that starts them: there must be one when this is called.
//!
//! Users and groups are those of /etc/passwd and /etc/group.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Gid, Uid, getegid, geteuid, getgroups};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::config::Config;
use crate::disk::users::{self, User};
use crate::store::Store;

/// Who root becomes where nobody says it, if there is such a user.
const USER: &str = "bnsd";

/// A directory that this user can reach.
const DIRECTORY: &str = "/var/lib/bnsd";
/// The directory of a demo, which lies in the data directory of whoever runs it and is that one's.
const DEMO: &str = "demo";

/// Where groups stand.
const GROUP: &str = "/etc/group";

/// Who root becomes.
#[derive(Debug)]
struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// Other groups, which may read what this user has to, such as a node's cookie.
    groups: Vec<u32>,
}

/// Becomes the user that the configuration names, if root starts this. The data directory becomes that user's too.
pub fn give_up(config: &Config) -> anyhow::Result<()> {
    let is_root = geteuid().is_root();
    let Some(account) = chosen(config.user.as_deref(), is_root)? else {
        return Ok(());
    };
    if !is_root {
        ensure!(
            account.uid == geteuid().as_raw(),
            "only root can become the user {}: start bnsd as root, or leave `user` out",
            account.name
        );
        return Ok(());
    }
    if account.uid == 0 {
        return Ok(()); // somebody wants root
    }
    check_reach(&config.data_dir, &account)?;
    hand_over(&config.data_dir, &account)?;
    become_user(&account)?;
    fs::read_dir(&config.data_dir)
        .map_err(|error| unreachable_for(&account, &config.data_dir, &error))?;
    tracing::info!("root gave up its rights: this is the user {}", account.name);
    Ok(())
}

/// Whether the user that the configuration names is there.
pub fn check(config: &Config) -> anyhow::Result<()> {
    chosen(config.user.as_deref(), false).map(drop)
}

/// Says so where root goes on as root and nobody asked for that.
pub fn warn(config: &Config) {
    if geteuid().is_root() && config.user.is_none() {
        tracing::warn!(
            "bnsd has all rights of root and needs none of them: name a user with --user, or make the user {USER} (`useradd --system {USER}`); give it a directory that it can reach, such as `--data-dir {DIRECTORY}`"
        );
    }
}

/// Who to become.
fn chosen(user: Option<&str>, is_root: bool) -> anyhow::Result<Option<Account>> {
    match user {
        Some(name) => find(name)?.map(Some).with_context(|| {
            format!(
                "there is no user {name} in /etc/passwd: make one (`useradd --system {name}`), or correct `user`"
            )
        }),
        None if is_root => find(USER),
        None => Ok(None),
    }
}

fn find(name: &str) -> anyhow::Result<Option<Account>> {
    let users = users::all().context("cannot read /etc/passwd")?;
    let groups = match fs::read_to_string(GROUP) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(), // in a small image
        read => read.with_context(|| format!("cannot read {GROUP}"))?,
    };
    let user = users.into_iter().find(|user| user.name == name);
    Ok(user.map(|user| account(user, &groups)))
}

/// A user with the groups that the text of /etc/group (group(5)) has for it.
fn account(user: User, group: &str) -> Account {
    let User { name, uid, gid, .. } = user;
    let groups = group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, number, members] = fields.as_slice() else {
            return None;
        };
        let is_member = members.split(',').any(|member| member == name.as_str());
        is_member.then(|| number.parse().ok()).flatten()
    });
    let groups = groups.filter(|group| *group != gid).collect();
    Account {
        name,
        uid,
        gid,
        groups,
    }
}

/// Refuses a directory that the user cannot reach, before anything is made or given away. The system itself is asked, as
/// that user, so that lists of access rights count too.
fn check_reach(directory: &Path, account: &Account) -> anyhow::Result<()> {
    let directory = std::path::absolute(directory)?;
    let mut parents = directory.ancestors();
    let there = parents.find(|path| path.exists()).unwrap_or(Path::new("/"));
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let groups: Vec<Gid> = account.groups.iter().map(|id| Gid::from_raw(*id)).collect();
    let before = (getgroups()?, getegid());
    let denied = || format!("cannot become the user {}", account.name);
    set_thread_groups(&groups).with_context(denied)?;
    set_thread_res_gid(before.1, gid, before.1).with_context(denied)?;
    set_thread_res_uid(Uid::ROOT, uid, Uid::ROOT).with_context(denied)?;
    // What is there already may be root's still: then it is enough to be seen.
    let found = match there == directory {
        true => fs::metadata(there),
        false => fs::metadata(there.join(".")),
    };
    let back = "cannot become root again";
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).context(back)?;
    set_thread_res_gid(before.1, before.1, before.1).context(back)?;
    set_thread_groups(&before.0).context(back)?;
    found.map_err(|error| unreachable_for(account, &directory, &error))?;
    let mut parents = DirBuilder::new();
    parents.recursive(true).mode(0o755); // root's, and open, so that the user gets through
    let parent = directory.parent().unwrap_or(Path::new("/"));
    parents
        .create(parent)
        .with_context(|| format!("cannot make {}", parent.display()))
}

fn unreachable_for(account: &Account, directory: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "the user {} cannot reach {}: {error}; choose a directory that it can reach, such as `--data-dir {DIRECTORY}`",
        account.name,
        directory.display()
    )
}

/// Makes the data directory, or gives the one that root made to the user, with all that root has in it.
fn hand_over(directory: &Path, account: &Account) -> anyhow::Result<()> {
    let owner = || fs::metadata(directory).map(|metadata| metadata.uid());
    if owner().is_ok_and(|uid| uid == account.uid) {
        return Ok(()); // since an earlier start, or somebody made it for this user
    }
    Store::claim(directory)?;
    ensure!(
        owner()? == 0 && Store::is_data_directory(directory)?,
        "{} does not belong to the user {}: give it to that user, or choose another with --data-dir",
        directory.display(),
        account.name
    );
    give_all(directory, account)
        .with_context(|| format!("cannot give {} to {}", directory.display(), account.name))
}

/// Gives away what is root's, the inside first, so that it is done again if it is not finished. Root's demo stays root's.
fn give_all(directory: &Path, account: &Account) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() != DEMO {
            give(&entry.path(), account)?;
        }
    }
    lchown(directory, Some(account.uid), Some(account.gid))
}

/// The same for all that lies at a path.
fn give(path: &Path, account: &Account) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), account)?;
        }
    }
    if metadata.uid() == 0 {
        lchown(path, Some(account.uid), Some(account.gid))?;
    }
    Ok(())
}

fn become_user(account: &Account) -> anyhow::Result<()> {
    let threads = fs::read_dir("/proc/self/task").context("cannot read /proc")?;
    ensure!(
        threads.count() == 1,
        "a thread was started before root gave up its rights"
    );
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let groups: Vec<Gid> = account.groups.iter().map(|id| Gid::from_raw(*id)).collect();
    let denied = || format!("cannot become the user {}", account.name);
    set_thread_groups(&groups).with_context(denied)?;
    set_thread_res_gid(gid, gid, gid).with_context(denied)?;
    set_thread_res_uid(uid, uid, uid).with_context(denied)?;
    if set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok() {
        bail!(
            "the user {} can become root again: bnsd does not go on like that",
            account.name
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_groups_that_name_it() {
        let user = User {
            name: "bnsd".to_owned(),
            uid: 998,
            gid: 997,
            home: "/var/lib/bnsd".into(),
        };
        let group = "root:x:0:\nbnsd:x:997:bnsd\nbitcoin:x:110:alice,bnsd\nothers:x:111:bnsd2\n";
        let found = account(user, group);
        assert_eq!((found.uid, found.gid, found.groups), (998, 997, vec![110]));
    }
}
