//! `bnsd portal`: lets the login page of a hotel or train through.

use clap::Subcommand;

use super::output::Page;
use super::{Context, Exit, Result};
use crate::api::portal::{PortalReply, PortalRequest, TIME, TIME_MAX};

/// Arguments of `bnsd portal`.
#[derive(Debug, Subcommand)]
pub enum PortalCommand {
    /// Ask the network's own resolvers for a while, in the clear, so that its login page can be reached.
    Open {
        /// For how many seconds.
        #[arg(long = "for", value_name = "SECONDS", default_value_t = TIME,
              value_parser = clap::value_parser!(u32).range(1..=i64::from(TIME_MAX)))]
        seconds: u32,
        /// Who is asked; by default whom the network named. Often the router's address does.
        #[arg(long = "resolver", value_name = "ADDRESS[:PORT]")]
        resolvers: Vec<String>,
    },
    /// Ask the upstreams again.
    Close,
    /// Show whether it is open, and for how long.
    Show,
}

impl PortalCommand {
    /// Asks and prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let request = match self {
            Self::Open { seconds, resolvers } => PortalRequest::Open { seconds, resolvers },
            Self::Close => PortalRequest::Close {},
            Self::Show => PortalRequest::Show {},
        };
        let reply = context.answer(request)?;
        context.output.print(&reply, || page(&reply))?;
        Ok(Exit::Success)
    }
}

fn page(reply: &PortalReply) -> Page {
    let mut page = Page::default();
    page.note(match reply.open {
        true => format!(
            "for {} s more {} answers in the clear; names of the chain stay here",
            reply.remaining,
            reply.resolvers.join(", ")
        ),
        false => "closed: the upstreams are asked".to_owned(),
    });
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_answers_and_for_how_long() {
        let open = PortalReply {
            open: true,
            remaining: 20,
            resolvers: vec!["192.0.2.1:53".to_owned()],
        };
        assert!(
            page(&open)
                .plain()
                .contains("20 s more 192.0.2.1:53 answers")
        );
        let closed = page(&PortalReply::default()).plain();
        assert!(closed.contains("closed"), "{closed}");
    }
}
