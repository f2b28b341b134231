//! `bnsd prefer`: who answers for one name that is on the chain and in the legacy tree.

use clap::{Args, ValueEnum};

use super::{Context, Exit, Result};
use crate::api::prefer::{Choice, PreferRequest, Preferred};
use crate::resolver::Preference;

/// Arguments of `bnsd prefer`.
#[derive(Debug, Args)]
pub struct Prefer {
    /// The name, for example werner.id; without it, all choices are shown.
    #[arg(requires = "side")]
    name: Option<String>,
    /// Who answers for it; auto leaves it to the mode of the namespace.
    #[arg(value_enum)]
    side: Option<Side>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Side {
    Bns,
    Legacy,
    Auto,
}

impl Prefer {
    /// Sets or asks, and prints what is in force.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let set = self.name.zip(self.side).map(|(name, side)| Choice {
            name,
            side: match side {
                Side::Bns => Preferred::Bns,
                Side::Legacy => Preferred::Legacy,
                Side::Auto => Preferred::Auto,
            },
        });
        let reply = context.answer(PreferRequest { set })?;
        context.output.show(&reply, |page| {
            for (name, side) in &reply.preferences {
                let side = match side {
                    Preference::Bns => "bns",
                    Preference::Legacy => "legacy",
                };
                page.row([name.to_string(), side.to_owned()]);
            }
            if reply.preferences.is_empty() {
                page.note("no choices: the modes of the namespaces decide");
            }
        })
    }
}
