//! A new configuration, obeyed part by part.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use anyhow::bail;

use super::{Answered, Service, usage};
use crate::api::reload::ReloadReply;
use crate::config::{Config, Profile};
use crate::daemon::{dns, notify, sandbox};
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

    /// Puts in force what can be without a restart. After an error nothing was changed.
    fn obey(&self, before: &Config, config: &Config, log: &Log) -> anyhow::Result<()> {
        self.refuse_ourselves(config)?;
        let files = [&config.dns.ca_file, &config.dns.trust_anchor];
        let files = files.into_iter().flatten();
        sandbox::reaches(files.chain(&config.zonefiles.folders))?;
        let system = dns::system_resolvers_of(Profile::Serve);
        let forwarder = &self.handler.forwarder;
        let options =
            dns::forward_options(config, &self.listeners, system.as_ref(), Some(forwarder))?;
        let forwarding = forwarder.prepare(options)?;
        let logging = (config.log != before.log).then(|| log.prepare(config.log));
        let logging = logging.transpose()?;
        if config.zonefiles.folders != before.zonefiles.folders {
            self.folders.set(&config.zonefiles.folders)?;
        }
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
        Ok(())
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
