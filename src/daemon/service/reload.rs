//! A new configuration, obeyed part by part.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use anyhow::bail;

use super::{Answered, Service, usage};
use crate::api::reload::ReloadReply;
use crate::config::{Config, FOLDERS, Profile};
use crate::daemon::reload::PutOff;
use crate::daemon::{self, dns, notify, sandbox};
use crate::log::Log;
use crate::resolver::Policy;
use crate::upstream::is_own_listener;

impl Service {
    /// Reads the configuration again and obeys it; an error in it is in the reply, the log and the status.
    pub(in crate::daemon) fn reload(&self) -> Answered<ReloadReply> {
        let Some(reload) = &self.reload else {
            return Err(usage(
                "this daemon has no configuration to read again: the demo is the same for everybody",
            ));
        };
        notify::reloading();
        let reply = reload.again(|before, config, log| self.obey(before, config, log));
        notify::ready();
        Ok(reply)
    }

    /// Puts in force what can be without a restart, which may leave out the folders. After an error nothing was changed.
    fn obey(&self, before: &Config, config: &Config, log: &Log) -> anyhow::Result<PutOff> {
        self.refuse_ourselves(config)?;
        let files = [&config.dns.ca_file, &config.dns.trust_anchor];
        let files = files.into_iter().flatten();
        sandbox::reaches(files.map(PathBuf::as_path))?;
        let system = dns::system_resolvers_of(Profile::Serve);
        let forwarder = &self.handler.forwarder;
        let options =
            dns::forward_options(config, &self.listeners, system.as_ref(), Some(forwarder))?;
        let forwarding = forwarder.prepare(options)?;
        let logging = (config.log != before.log).then(|| log.prepare(config.log));
        let logging = logging.transpose()?;
        let put_off = self.obey_folders(before, config)?;
        // From here on nothing fails.
        if let Some(logging) = logging {
            log.set(logging);
        }
        let networks = config.dns.access.clone();
        self.access.set(networks, config.dns.rate_limit);
        self.keeps_cache
            .store(config.dns.keep_cache, Ordering::Relaxed);
        self.handler.set_log(config.log_queries);
        self.handler.set_hosts_served(config.dns.hosts);
        // One at a time with the choices of a person, and last, since it ends what was decided before.
        let _choices = self
            .preferences
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.handler.policy();
        let policy = Policy {
            preferences: before.preferences.clone(),
            gateway: before.gateway, // its socket is bound at the start
            ..dns::policy(config)
        };
        self.handler.set(forwarding, policy);
        Ok(put_off)
    }

    /// Watches other folders; one that is out of reach puts that off.
    fn obey_folders(&self, before: &Config, config: &Config) -> anyhow::Result<PutOff> {
        let (old, new) = (&before.zonefiles.folders, &config.zonefiles.folders);
        if new == old {
            return Ok(PutOff::default());
        }
        if let Err(reason) = sandbox::reaches(new.iter().map(PathBuf::as_path)) {
            return Ok(PutOff {
                key: Some(FOLDERS),
                reason: Some(reason.to_string()),
            });
        }
        // The thread may be reading other folders, and is not waited for.
        daemon::check_folders(new.iter().filter(|folder| !old.contains(folder)))?;
        self.folders.set(new)?;
        Ok(PutOff::default())
    }

    /// An error if an upstream is where this daemon listens in fact, whatever the new configuration says about that.
    fn refuse_ourselves(&self, config: &Config) -> anyhow::Result<()> {
        let routes = config
            .dns
            .routes
            .iter()
            .flat_map(|(_, upstreams)| upstreams);
        for upstream in config.dns.upstreams.iter().chain(routes) {
            let address = upstream.address();
            if address.is_some_and(|address| is_own_listener(address, &self.listeners)) {
                bail!(
                    "the upstream {upstream} is where bnsd itself listens; name another resolver"
                );
            }
        }
        Ok(())
    }
}
