//! Certificates that this machine makes for its own programs.

use data_encoding::BASE64;

use super::{Answered, Service, trouble, usage};
use crate::api::trust::{AuthorityReply, AuthorityRequest, RootReply};
use crate::trust::Wanted;

impl Service {
    pub(super) fn root(&self) -> Answered<RootReply> {
        let root = self.trust.mint.root().map_err(trouble)?;
        let certificate = root.certificate();
        Ok(RootReply {
            pem: certificate.pem(),
            fingerprint: certificate.fingerprint(),
            until: certificate.until(),
            permitted: certificate.permitted().to_vec(),
            excluded: certificate.excluded().to_vec(),
            missing: self.trust.mint.missing(&root),
        })
    }

    pub(super) async fn authority(&self, request: &AuthorityRequest) -> Answered<AuthorityReply> {
        let wanted = Wanted::read(&request.name, &request.file).ok_or_else(|| {
            usage("ask for /aia/NAME/SPKI-SHA256.cer, with the digest in lower-case hexadecimal")
        })?;
        let found = self.trust.issuers.find(&wanted).await;
        Ok(AuthorityReply {
            certificate: found.map(|issued| BASE64.encode(issued.der())),
        })
    }
}
