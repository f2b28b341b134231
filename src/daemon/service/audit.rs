//! Has old blocks looked at whole, and says how far that is.

use super::{Answered, Service, usage};
use crate::api::audit::AuditRequest;
use crate::chain::light::AuditStatus;

impl Service {
    pub(super) fn audit(&self, request: &AuditRequest) -> Answered<AuditStatus> {
        let Some(audits) = &self.audits else {
            let text = "every block is read whole from the chain source: there is nothing to audit";
            return Err(usage(text));
        };
        audits.ask(request.blocks);
        Ok(audits.status())
    }
}
