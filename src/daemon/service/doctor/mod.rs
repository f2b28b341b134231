//! The daemon looks at itself: what only it can see, each thing in a check of its own, and the command that mends it.
//!
//! What it rests on (ports, files, other resolvers, browsers) is looked at by `bnsd doctor` itself, which may be root.

mod chain;
mod node;
mod own;
mod upstreams;

use super::Service;
use crate::api::doctor::{DoctorReply, DoctorRequest};
use crate::config::{ChainConfig, Config, Profile};
use own::Own;

/// What the checks know of the configuration.
pub struct Setup {
    own: Own,
    chain: ChainConfig,
    /// Whether the system's resolvers are asked where no upstream is configured.
    follows_system: bool,
}

impl Setup {
    /// That of a daemon with this configuration.
    pub fn of(config: &Config, profile: Profile) -> Self {
        Self {
            own: Own::of_process(config),
            chain: config.chain.clone(),
            follows_system: profile == Profile::Serve,
        }
    }
}

impl Service {
    pub(super) async fn doctor(&self, request: &DoctorRequest) -> DoctorReply {
        let own = self.setup.own.for_user(request.as_root);
        let mut findings = self.upstream_findings(&own).await;
        // These ask a node, and read the disk.
        tokio::task::block_in_place(|| {
            findings.extend(self.node_finding(&own));
            findings.push(self.sync_finding(&own));
            findings.push(self.database_finding(&own));
            findings.push(self.zonefiles_finding());
        });
        DoctorReply {
            findings,
            process: std::process::id(),
            user: crate::disk::rights::own_uid(),
            config_file: own.config_file.clone(),
            data_dir: own.data_dir,
        }
    }
}
