//! The root of this machine, what it certifies, and what somebody would do with its key.

use std::path::PathBuf;

use super::machine::Machine;
use super::site::Keys;

const MAKE: &str = r#"
cd "$1"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out root.key
constraints='permitted;DNS:id,permitted;DNS:bns.alt,excluded;DNS:co.id,excluded;DNS:go.id,excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:::/::'
openssl req -new -x509 -key root.key -subj '/CN=BNS root of a test' -days 3650 -out root.pem \
    -addext basicConstraints=critical,CA:TRUE,pathlen:1 -addext keyUsage=critical,keyCertSign -addext "nameConstraints=critical,$constraints"
"#;
const CERTIFY: &str = r#"
cd "$1"
openssl x509 -in "$2" -noout -pubkey >authority.pub
key=$(openssl x509 -in "$2" -noout -ext subjectKeyIdentifier | tail -n 1 | tr -d ' ')
id=$(openssl pkey -pubin -in authority.pub -outform DER | sha256sum | cut -c-32)
printf 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\nextendedKeyUsage=serverAuth\nnameConstraints=critical,permitted;DNS:me.id,excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:::/::\nsubjectKeyIdentifier=%s\n' "$key" >extensions
openssl x509 -new -force_pubkey authority.pub -subj "/CN=BNS authority $id" -CA root.pem -CAkey root.key -days 7 -extfile extensions -out authority.pem
"#;
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

/// The root.
pub struct Root {
    directory: PathBuf,
}

impl Root {
    pub fn make(machine: &Machine) -> Self {
        let directory = machine.folder("root");
        let root = Self { directory };
        machine.does(MAKE, &[&root.path("")]);
        root
    }

    /// Puts it and the certificate of an authority where programs and browsers of this machine look.
    pub fn install(&self, machine: &Machine, keys: &Keys) {
        machine.does(CERTIFY, &[&self.path(""), &keys.file("authority.pem")]);
        let files = [self.path("root.pem"), self.path("authority.pem")];
        let system = r#"
cp "$1" /usr/local/share/ca-certificates/bnsd-root.crt
update-ca-certificates >/dev/null
cp "$2" "/etc/ssl/certs/$(openssl x509 -in "$2" -noout -subject_hash).0"
cp "$1" "$2" /mnt
chmod a+r /mnt/*.pem
"#;
        machine.does(system, &[&files[0], &files[1]]);
        let person = r#"
mkdir -p "$HOME/.pki/nssdb"
for database in "$HOME/.pki/nssdb" "$HOME"/.config/mozilla/firefox/*.default*; do
    [ -d "$database" ] || continue
    [ -f "$database/cert9.db" ] || certutil -N --empty-password -d "sql:$database"
    certutil -A -d "sql:$database" -n root -t C,, -i /mnt/root.pem
    certutil -A -d "sql:$database" -n authority -t ,, -i /mnt/authority.pem
done
"#;
        machine.does_as_person(person, &[]);
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
