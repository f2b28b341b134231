//! Who is asked for which names: the longest route that a name is in, or everybody's upstreams.

use std::sync::Arc;

use hickory_proto::rr::Name as DnsName;

use super::group::Group;
use super::options::ForwardOptions;
use super::tls::{Tls, TlsError};
use super::upstream::UpstreamConfig;

/// Who is asked for what.
pub struct Table {
    /// Those who are asked where no route says otherwise.
    pub all: Arc<Group>,
    routes: Vec<(DnsName, Arc<Group>)>,
}

impl Table {
    /// `upstreams`, and the routes of the options beside them. Nobody is connected to yet.
    pub fn new(
        options: &ForwardOptions,
        upstreams: &[UpstreamConfig],
        tls: &Tls,
    ) -> Result<Self, TlsError> {
        let group = |configs| Group::new(configs, tls, &options.bootstrap).map(Arc::new);
        let routes = options.routes.iter();
        let routes = routes.map(|(zone, configs)| Ok((zone.clone(), group(configs)?)));
        Ok(Self {
            all: group(upstreams)?,
            routes: routes.collect::<Result<_, _>>()?,
        })
    }

    /// The group of the longest route that a name is in.
    pub fn group(&self, name: &DnsName) -> &Arc<Group> {
        self.routes
            .iter()
            .filter(|(zone, _)| zone.zone_of(name))
            .max_by_key(|(zone, _)| zone.num_labels())
            .map_or(&self.all, |(_, group)| group)
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        std::iter::once(&self.all).chain(self.routes.iter().map(|(_, group)| group))
    }

    /// Whether a name is in a route.
    pub fn has_route(&self, name: &DnsName) -> bool {
        self.routes.iter().any(|(zone, _)| zone.zone_of(name))
    }
}
