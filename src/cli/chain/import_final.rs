//! `bnsd chain import-final`: the historical names from two published files, without any chain.

use std::path::PathBuf;

use clap::Args;

use crate::cli::zonefile::source::FileLine;
use crate::cli::{CliError, Context, Exit, Result, log};
use crate::config::Profile;
use crate::daemon;
use crate::hash::FileHash;
use crate::indexer::{ImportError, ImportLastState, Imported};

/// Arguments of `bnsd chain import-final`.
#[derive(Debug, Args)]
pub struct ImportFinal {
    /// The published file `chainstate.txt`.
    #[arg(value_name = "CHAINSTATE")]
    chainstate: PathBuf,
    /// The published file `name_zonefiles.txt`.
    #[arg(value_name = "ZONEFILES")]
    zonefiles: PathBuf,
    /// Take a file with this SHA-256 although it is not the published one; give it once for each such file.
    #[arg(long, value_name = "HASH")]
    sha256: Vec<FileHash>,
}

impl ImportFinal {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let config = context.load(Profile::Serve, Vec::new())?;
        log::start(config.log)?;
        let mut line = FileLine::new();
        let import = ImportLastState {
            data_dir: &config.data_dir,
            archive: &daemon::archive(&config),
            chainstate: &self.chainstate,
            zonefiles: &self.zonefiles,
            trusted: &self.sha256,
        };
        let imported = import.run(|files, done, all| line.reached(files, done, all));
        drop(line);
        let imported = imported.map_err(|error| match error {
            ImportError::OtherHash { .. } | ImportError::Line { .. } => {
                CliError::No(error.to_string())
            }
            error => CliError::Trouble(error.into()),
        })?;
        context.output.show(&imported, |page| {
            let Imported {
                namespaces,
                names,
                names_left_out,
                zonefiles,
                zonefiles_left_out,
                published,
            } = &imported;
            page.heading("Imported");
            page.entry("names", names);
            page.entry("namespaces", namespaces);
            page.entry("zone files", zonefiles);
            let some = |count: &u64| (*count > 0).then_some(*count);
            page.entry_if("names left out", some(names_left_out));
            page.entry_if("zone files left out", some(zonefiles_left_out));
            let rests_on = match published {
                true => "the published hashes of both files",
                false => "hashes that you named: these are not the published files",
            };
            page.entry("rests on", rests_on);
            page.note("`chain.source = \"final\"` in the configuration serves these names");
        })
    }
}
