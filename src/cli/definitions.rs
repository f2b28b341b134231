//! The commands with what their types cannot say: examples, exit codes, variables.
//!
//! Help, completions and man pages come from these definitions, so that none of them can say something else.

use clap::{Command, CommandFactory as _};

use super::Cli;

/// Follows the help of `bnsd` itself.
const ABOUT_ALL: &str = "\
Exit codes:
  0  it was done, or the answer is yes
  1  the answer is no: no such name, a check failed, the rules refuse
  2  wrong use: the arguments or the configuration
  3  trouble on the way: no daemon, no node, a file that cannot be read

Variables:
  What shows [env: ...] can also be set in the environment; options of a single
  run, such as --dry-run, cannot. `bnsd config show --reference` lists every key
  of bnsd.toml with its variable, `bnsd config show` what is in force and why.";

/// Follow the examples of these commands.
const MORE: &[(&[&str], &str)] = &[
    (
        &["tls", "init"],
        "\
The directory gets the key that the zone file binds (authority.key), the key and
certificate of the server (leaf.key, chain.pem), NAME.zone to announce, and
nginx.conf, Caddyfile and haproxy.cfg, which serve the name as they are. Nothing
that is there is overwritten. No daemon and no configuration is needed.

Exit codes:
  0  all of it is there
  1  refused: keys of another name are there, a file is not of its key, an
     address is private
  2  wrong use
  3  trouble on the way: a file that cannot be read or written",
    ),
    (
        &["tls", "issue"],
        "\
Replaces leaf.pem, chain.pem and haproxy.pem, and with --new-key leaf.key. The
authority stays, so that the name's zone file stays true.

Exit codes:
  0  the certificate is renewed
  1  refused: the authority's key or certificate is not there
  2  wrong use
  3  trouble on the way: a file that cannot be read or written",
    ),
    (
        &["doctor"],
        "\
Checks:
  configuration, daemon and chain; whether the system's questions and those of
  browsers reach bnsd; upstreams and validation; the clock, the disk, who may
  read bnsd's files. A line each: ok, warning, failure or unknown (ask as root),
  and below it the command that mends it. Nothing is changed.

Exit codes:
  0  there is no failure
  1  there is a failure
  3  trouble on the way",
    ),
    (
        &["chain", "audit"],
        "\
Exit codes:
  0  nothing was left out of the blocks that were looked at
  1  something was: the block and the logs that tell of it are said, and names are
     derived again from there
  2  wrong arguments, or every block is read whole anyway
  3  trouble: no daemon, no peers",
    ),
    (
        &["chain", "export"],
        "\
Exit codes:
  0  the directory tells of all blocks that are indexed
  1  there is nothing to tell of, or the directory is not for this log: it holds
     something else, the log of another chain, or somebody writes to it
  2  wrong use
  3  trouble on the way: the disk, the daemon, or a node that lacks old blocks; run
     it again, it goes on",
    ),
    (
        &["chain", "prove"],
        "\
Asks the running daemon, or opens the database where none runs. The proof goes to
the standard output, the block and the hash that it starts from to the standard
error. It shows that the name's last operation was accepted, and not that nothing
followed.

Exit codes:
  0  it is written
  1  there is none: the name was never registered, its namespace was not open,
     its zone file is not here
  2  wrong use, such as a terminal as output
  3  trouble on the way",
    ),
    (
        &["chain", "check-proof"],
        "\
Whoever made the proof is not trusted, and nothing else is asked or read. The hash
is one that you trust: from your own node, or from people who compared theirs.

Exit codes:
  0  the proof is right; what it shows is printed
  1  it is not, or it was made for another hash: the reason is said
  2  wrong use
  3  trouble on the way: a file that cannot be read",
    ),
    (
        &["chain", "import-final"],
        "\
The two files are those that were published when the names of the historical
network moved to another chain, `chainstate.txt` and `name_zonefiles.txt`. Their
SHA-256 are built in. What they say rests on these hashes, not on work. Killed at any
moment, the names from before are there, or all new ones.

Exit codes:
  0  they are there; `chain.source = \"final\"` serves them
  1  refused: a file has another SHA-256, or a line that nobody wrote
  2  wrong use
  3  trouble on the way: a file that cannot be read, a daemon that runs",
    ),
    (
        &["tls", "check"],
        "\
Addresses and pins are those of the running daemon.

Exit codes:
  0  a pin holds for what the server shows
  1  none holds, or the name has no pins, no address or no TLS: the reason is said
  2  wrong use
  3  trouble on the way: no daemon, no server, or nobody can vouch for names now",
    ),
    (
        &["tls", "ca"],
        "\
The authority is made when it is first needed, by the daemon, which keeps its key.
It may certify names of the namespaces that are served, and neither names that
the legacy tree keeps nor addresses. The certificate goes to the standard output,
its SHA-256 and what it may certify to the standard error.

Exit codes:
  0  it is printed
  2  wrong use
  3  trouble on the way: no daemon, or this user may not ask it",
    ),
    (
        &["tls", "install-ca"],
        "\
As root, for the system's programs and, by a policy, for Firefox; with --user, for
the databases of Chromium and Firefox of this user, which needs certutil (Debian:
libnss3-tools). What was there is kept, so that uninstall-ca leaves the same bytes.

Exit codes:
  0  it is installed
  1  refused: it is no authority of bnsd, or somebody changed a file
  2  wrong use
  3  trouble on the way: no daemon, no right to change a file, no certutil",
    ),
    (
        &["tls", "uninstall-ca"],
        "\
Takes certificates of names away too. A database to which a browser wrote since
keeps its new bytes and loses our certificates.

Exit codes:
  0  everything is as it was, or nothing was installed
  1  somebody changed a file, which was kept
  2  wrong use
  3  trouble on the way",
    ),
    (
        &["tls", "agent"],
        "\
The daemon says which certificates are needed; the agent puts them into the
databases of Chromium and Firefox of this user, or with --system into
/etc/ssl/certs, and takes away what has expired or left the chain. The user has to
be in `tls.users` of bnsd.toml. `systemctl --user enable --now bnsd-agent` starts it
at every login, and without --user the system's.

Exit codes:
  1  the authority is not installed, or bnsd has another one
  2  wrong use
  3  trouble on the way: no certutil, a file that cannot be changed",
    ),
    (
        &["tls", "proxy"],
        "\
It shows a secret: whoever has the token can use the proxy. Ask as the user that
the daemon runs as, or as root.

Exit codes:
  0  it is told
  1  no proxy is configured
  2  wrong use
  3  trouble on the way: the daemon has not made its files yet, or they are not yours",
    ),
    (
        &["tls", "pins"],
        "\
Exit codes:
  0  something is pinned
  1  nothing is pinned, and a program that checks pins refuses the server
  2  wrong use
  3  trouble on the way: no daemon, or it cannot vouch for names now",
    ),
    (
        &["key"],
        "\
Exit codes:
  0  the name is registered, and its zone file is here
  1  it is not registered, or has no zone file here
  2  wrong use
  3  trouble on the way: no daemon, or it cannot vouch for names now",
    ),
    (
        &["subdomain", "show"],
        "\
Exit codes:
  0  it is there: a record of it is accepted
  1  there is none, or none is accepted
  2  wrong use
  3  trouble on the way: no daemon",
    ),
    (
        &["subdomain", "new"],
        "\
The first record counts by standing in the zone file of the name, whoever signed it.
Every later one is signed by the owner that the one before names.",
    ),
    (
        &["subdomain", "pack"],
        "\
What was announced stays in force, so that a zone file needs the new records only.
Several zone files are announced in the order in which they are printed, each when
the one before is in a block.

Exit codes:
  0  the zone files are written
  1  refused: the rules would not accept a record, or no zone file has room for it
  2  wrong use
  3  trouble on the way: no daemon, a file that cannot be read or written",
    ),
    (
        &["registrar"],
        "\
Records that are in force go to DIR/done, refused ones to DIR/refused, each with a
file beside it that says why (NAME.reason). SIGTERM ends it between two steps; killed
at any moment, it goes on when it is started again, and pays for nothing twice.

Exit codes:
  0  a signal ended it
  1  refused: no key here owns the name
  2  wrong use
  3  trouble at the start: no daemon, no passphrase, a directory that is in use",
    ),
    (
        &["reload"],
        "\
The file is read that the daemon was started with, below its variables and
flags. Keys that are obeyed at once and keys that need a restart are told apart
in `bnsd config show --reference`. A changed file is read without this command
too; then it says what changed, and when.

Exit codes:
  0  the configuration is in force, but for what is said to need a restart
  1  it is wrong, and the settings before stay in force
  2  wrong use, such as another file than the daemon's
  3  trouble on the way: no daemon",
    ),
];

/// A command by the words that lead to it, with lines that somebody can type and what they do.
type Example = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
);

/// Each line is checked by a test.
const EXAMPLES: &[Example] = &[
    (
        &[],
        &[
            ("bnsd demo", "a resolver with names, from nothing"),
            ("bnsd serve", "the daemon, from bnsd.toml"),
            ("bnsd explain werner.id", "an answer and all it rests on"),
            ("bnsd name register me.id --zonefile me.zone", "own a name"),
        ],
    ),
    (
        &["demo"],
        &[
            ("bnsd demo", "on 127.0.0.1:5300"),
            ("bnsd demo --zonefiles my-zones", "with names of one's own"),
            ("bnsd demo --upstream 9.9.9.9", "other names too"),
        ],
    ),
    (
        &["serve"],
        &[
            (
                "bnsd serve --check-config",
                "say what is wrong, start nothing",
            ),
            (
                "bnsd serve --listen 127.0.0.1:5301 --log debug",
                "on another port, talkative",
            ),
        ],
    ),
    (
        &["lookup"],
        &[
            ("bnsd lookup werner.id", "its addresses"),
            ("bnsd lookup werner.id TXT --json", "for programs"),
            (
                "bnsd lookup werner.id A --at 600000",
                "as it was at that block",
            ),
        ],
    ),
    (
        &["explain"],
        &[
            (
                "bnsd explain werner.id",
                "block, transaction, owner, zone file",
            ),
            ("bnsd explain example.com MX", "why it was forwarded"),
        ],
    ),
    (
        &["status"],
        &[
            ("bnsd status", "height, names, upstreams, warnings"),
            ("bnsd status --watch", "live; q ends it"),
        ],
    ),
    (
        &["doctor"],
        &[
            (
                "bnsd doctor",
                "a line a check, and the command that mends it",
            ),
            ("sudo bnsd doctor", "with what only root sees"),
        ],
    ),
    (
        &["name"],
        &[
            ("bnsd name price me.id", "what it costs"),
            ("bnsd name register me.id --zonefile me.zone", "own it"),
            ("bnsd name transfer me.id ADDRESS", "give it away"),
            ("bnsd name expiring", "what has to be renewed soon"),
        ],
    ),
    (
        &["name", "register"],
        &[
            (
                "bnsd name register me.id --zonefile me.zone --dry-run",
                "what would be sent and paid",
            ),
            ("bnsd name register me.id --zonefile me.zone", "do it"),
            (
                "bnsd name register me.id --address 192.0.2.1",
                "with a zone file that is made, and a key for TLS",
            ),
            (
                "bnsd name register me.id --psbt preorder.psbt",
                "others sign",
            ),
        ],
    ),
    (
        &["name", "transfer"],
        &[
            ("bnsd name transfer me.id ADDRESS", "with its zone file"),
            (
                "bnsd name transfer me.id ADDRESS --drop-zonefile",
                "without",
            ),
        ],
    ),
    (
        &["namespace"],
        &[
            ("bnsd namespace price club", "what it costs"),
            ("bnsd namespace preorder club", "the first of three steps,"),
            ("bnsd namespace reveal club", "the second,"),
            ("bnsd namespace ready club", "and the last"),
        ],
    ),
    (
        &["keys"],
        &[
            ("bnsd keys new me", "make a key; prints its words once"),
            ("bnsd keys list", "keys and addresses"),
            (
                "bnsd keys import team --multisig 2 --member KEY --member KEY",
                "a shared address",
            ),
        ],
    ),
    (
        &["tx"],
        &[
            ("bnsd tx decode me.psbt", "what it does, in words"),
            ("bnsd tx sign me.psbt", "with the keys here"),
            ("bnsd tx send me.psbt", "to the node"),
        ],
    ),
    (
        &["zonefile"],
        &[
            (
                "bnsd zonefile new me.id --address 192.0.2.1",
                "something to start from",
            ),
            (
                "bnsd zonefile check me.id me.zone",
                "every problem, and what is served",
            ),
            (
                "bnsd zonefile publish me.id me.zone",
                "until DNS answers with it",
            ),
        ],
    ),
    (
        &["subdomain"],
        &[
            (
                "bnsd subdomain new bar.me.id --zonefile bar.zone --out bar.record",
                "by whoever will own it",
            ),
            (
                "bnsd subdomain pack me.id bar.record --out me.zone",
                "by the owner of me.id, who publishes it then",
            ),
            ("bnsd subdomain show bar.me.id", "who owns it"),
        ],
    ),
    (
        &["subdomain", "new"],
        &[
            (
                "bnsd subdomain new bar.me.id --zonefile bar.zone --key me/1",
                "owned by a key here",
            ),
            (
                "bnsd subdomain new bar.me.id --zonefile bar.zone --owner ADDRESS",
                "for somebody else",
            ),
        ],
    ),
    (
        &["subdomain", "transfer"],
        &[
            (
                "bnsd subdomain transfer bar.me.id --to ADDRESS",
                "with its zone file",
            ),
            (
                "bnsd subdomain transfer bar.me.id --to ADDRESS --zonefile new.zone --sequence 1 --owner ADDRESS",
                "without a daemon",
            ),
        ],
    ),
    (
        &["subdomain", "pack"],
        &[
            (
                "bnsd subdomain pack me.id a.record b.record --out me.zone",
                "with the other records of me.id",
            ),
            (
                "bnsd subdomain pack me.id a.record --base me.zone --out zones",
                "with those of a file",
            ),
        ],
    ),
    (
        &["registrar"],
        &[(
            "bnsd registrar me.id --every 3600 --dir records --max-fee 5000",
            "at most one update an hour",
        )],
    ),
    (
        &["tls"],
        &[
            (
                "bnsd tls init me.id --dir me --address 192.0.2.1",
                "keys, certificates, a zone file, lines for servers",
            ),
            ("bnsd tls issue --dir me", "another certificate, in a year"),
        ],
    ),
    (
        &["cache"],
        &[
            ("bnsd cache dump", "what is kept"),
            ("bnsd cache flush example.com", "forget it and all below"),
        ],
    ),
    (
        &["peers"],
        &[
            ("bnsd peers", "who has zone files for us"),
            ("bnsd peers --json", "the same for a program"),
        ],
    ),
    (
        &["prefer"],
        &[
            ("bnsd prefer x.id legacy", "the other owner's answer"),
            ("bnsd prefer x.id auto", "as the namespace says"),
        ],
    ),
    (
        &["tls", "check"],
        &[
            ("bnsd tls check me.id", "is https://me.id who it should be?"),
            (
                "bnsd tls check me.id:8443 --connect 192.0.2.1",
                "a server that the name does not point to yet",
            ),
        ],
    ),
    (
        &["tls", "delegate"],
        &[(
            "bnsd tls delegate --dir tls/me.id",
            "another key, without a transaction",
        )],
    ),
    (
        &["tls", "ca"],
        &[
            (
                "sudo bnsd tls ca > bnsd-root.pem",
                "the certificate, to be installed elsewhere",
            ),
            ("sudo bnsd tls ca --json", "with what it may certify"),
        ],
    ),
    (
        &["tls", "install-ca"],
        &[
            (
                "sudo bnsd tls install-ca",
                "for curl, OpenSSL, Python and Firefox",
            ),
            (
                "bnsd tls install-ca --user",
                "for this user's Chromium and Firefox",
            ),
        ],
    ),
    (
        &["tls", "uninstall-ca"],
        &[("bnsd tls uninstall-ca --user", "as it was before")],
    ),
    (
        &["tls", "agent"],
        &[
            ("bnsd tls agent", "for this user's Chromium and Firefox"),
            (
                "sudo bnsd tls agent --system",
                "for OpenSSL, curl and Python",
            ),
        ],
    ),
    (
        &["tls", "proxy"],
        &[
            ("sudo bnsd tls proxy", "what to enter in the browser"),
            (
                "sudo bnsd tls proxy --ca > bnsd-proxy.pem",
                "what it has to trust",
            ),
        ],
    ),
    (
        &["tls", "pins"],
        &[
            ("bnsd tls pins me.id", "what https://me.id has to show"),
            ("bnsd tls pins mail.me.id --port 25", "another server"),
        ],
    ),
    (
        &["key"],
        &[
            ("bnsd key me.id", "its keys, now and in the past"),
            ("bnsd key me.id --json", "for programs"),
        ],
    ),
    (
        &["reload"],
        &[
            ("bnsd reload", "what changed, and what needs a restart"),
            ("bnsd reload --json", "for programs"),
        ],
    ),
    (
        &["system"],
        &[
            ("sudo bnsd system install --dry-run", "show every change"),
            ("sudo bnsd system install", "names of the chain go to bnsd"),
            (
                "sudo bnsd system install --all",
                "all names, which needs upstreams",
            ),
            ("bnsd system status", "whether questions reach bnsd"),
            ("sudo bnsd system uninstall", "everything as it was"),
        ],
    ),
    (
        &["chain"],
        &[
            ("bnsd chain verify", "derive the database again and compare"),
            ("bnsd chain replay --until 400000", "every consensus hash"),
            ("bnsd chain export /srv/log", "for others, who have no node"),
            (
                "bnsd chain prove werner.id > werner.proof",
                "for whoever trusts one consensus hash",
            ),
            (
                "bnsd chain import-final chainstate.txt name_zonefiles.txt",
                "the historical names, without any chain",
            ),
        ],
    ),
    (
        &["config", "show"],
        &[
            ("bnsd config show", "what is in force, and why"),
            (
                "bnsd config show --reference",
                "all that can be set, as a file",
            ),
        ],
    ),
    (
        &["completions"],
        &[
            (
                "bnsd completions bash > ~/.local/share/bash-completion/completions/bnsd",
                "bash",
            ),
            (
                "bnsd completions zsh > ~/.zfunc/_bnsd",
                "zsh, with ~/.zfunc in $fpath",
            ),
            (
                "bnsd completions fish > ~/.config/fish/completions/bnsd.fish",
                "fish",
            ),
        ],
    ),
    (
        &["man"],
        &[(
            "bnsd man ~/.local/share/man/man1",
            "then: man bnsd-name-register",
        )],
    ),
];

/// Options about keys and about sending, which stand apart in the help of the commands that have them.
const APART: [(&str, &[&str]); 2] = [
    ("Keys", &["keys_dir", "passphrase_file", "network"]),
    (
        "Paying and sending",
        &[
            "key",
            "payer",
            "coin",
            "fee_rate",
            "max_fee_rate",
            "allow_high_fee",
            "dry_run",
            "psbt",
            "no_wait",
            "yes",
        ],
    ),
];

/// All commands.
pub fn definitions() -> Command {
    let mut command = arranged(Cli::command());
    for (path, examples) in EXAMPLES {
        command = at(command, path, &|command| {
            let text = page(examples);
            match path.is_empty() {
                true => command.after_help(format!("{text}\n{ABOUT_ALL}")),
                false => command.after_help(text),
            }
        });
    }
    for (path, more) in MORE {
        command = at(command, path, &|command| {
            let before = command.get_after_help().map(ToString::to_string);
            command.after_help(format!("{}\n{more}", before.unwrap_or_default()))
        });
    }
    command
}

/// The command with its options under their headings, and without the values that variables have now.
fn arranged(command: Command) -> Command {
    let has_keys = command
        .get_arguments()
        .any(|arg| arg.get_id() == "keys_dir");
    let command = command.mut_args(|arg| {
        let is_in = |(_, ids): &&(_, &[&str])| has_keys && ids.contains(&arg.get_id().as_str());
        let heading = APART.iter().find(is_in).map(|(heading, _)| *heading);
        let arg = arg.hide_env_values(true);
        match heading {
            Some(heading) => arg.help_heading(heading),
            None => arg,
        }
    });
    command.mut_subcommands(arranged)
}

/// Changes the command to which a path leads.
fn at(command: Command, path: &[&'static str], change: &dyn Fn(Command) -> Command) -> Command {
    match path.split_first() {
        None => change(command),
        Some((first, rest)) => command.mut_subcommand(*first, |next| at(next, rest, change)),
    }
}

/// The lines, each with its comment.
fn page(examples: &[(&str, &str)]) -> String {
    let width = examples.iter().map(|(line, _)| line.len()).max();
    let width = width.unwrap_or_default();
    let line = |(line, what): &(&str, &str)| format!("  {line:width$}  # {what}\n");
    let lines: String = examples.iter().map(line).collect();
    format!("Examples:\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        definitions().debug_assert();
    }

    #[test]
    fn every_example_can_be_typed() {
        for (path, examples) in EXAMPLES {
            for (line, _) in *examples {
                let words = line.split_whitespace().take_while(|word| *word != ">");
                let words: Vec<&str> = words.skip_while(|word| *word == "sudo").collect();
                assert!(words[1..].starts_with(path) || path.is_empty(), "{line}");
                let parsed = definitions().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
            }
        }
    }
}
