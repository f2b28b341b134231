//! What somebody would do who got hold of the key of this machine's root.

use std::path::PathBuf;

use super::machine::Machine;

/// A leaf for `$3`, signed with the key of the root, or with that of an authority below it that nothing constrains.
const FORGE: &str = r#"
cd "$1"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$2.key"
printf 'subjectAltName=%s\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n' "$3" >leaf
issuer=root
if [ "$4" = below ]; then
    issuer=$2-authority
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $issuer.key
    printf 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\nextendedKeyUsage=serverAuth\n' >authority
    openssl req -new -key $issuer.key -subj /CN=unconstrained |
        openssl x509 -req -CA root.pem -CAkey root.key -days 7 -extfile authority -out $issuer.pem
fi
openssl req -new -key "$2.key" -subj /CN=forged |
    openssl x509 -req -CA $issuer.pem -CAkey $issuer.key -days 7 -extfile leaf -out "$2.pem"
[ $issuer = root ] || cat $issuer.pem >>"$2.pem"
"#;

/// Who signs a forged certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    Root,
    /// An authority without constraints, which the root signs.
    Below,
}

/// The root, and what is made with it.
pub struct Root {
    directory: PathBuf,
}

impl Root {
    /// A copy of the daemon's.
    pub fn stolen(machine: &Machine) -> Self {
        let directory = machine.folder("root");
        let root = Self { directory };
        let shown = machine.world.run(&["tls", "ca"]);
        assert_eq!(shown.code, 0, "{shown:?}");
        std::fs::write(root.path("root.pem"), shown.stdout).unwrap();
        let key = machine.world.path("data/trust/root.key");
        std::fs::copy(key, root.path("root.key")).unwrap();
        root
    }

    /// The files of a certificate for a subject (`DNS:...` or `IP:...`), and of its key.
    pub fn forge(&self, machine: &Machine, name: &str, subject: &str, by: Signer) -> [String; 2] {
        let by = if by == Signer::Below { "below" } else { "root" };
        machine.does(FORGE, &[&self.path(""), name, subject, by]);
        ["pem", "key"].map(|kind| self.path(&format!("{name}.{kind}")))
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}
