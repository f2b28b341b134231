//! Historical zone files on a real node: six namespaces are opened, every name is imported into its own with the hash
//! of its zone file, the daemon syncs over RPC, and what it answers is what dnspython reads in the files.
//!
//! The files are not ours to commit. Where `../shared/vectors` lacks them, 200 generated ones take their place.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;

use bitcoin::{Amount, FeeRate, OutPoint, TxOut};
use bnsd::bns::name::NamespaceId;
use bnsd::bns::price::{self, PriceFunction};
use bnsd::bns::record::TokenUnits;
use bnsd::wallet::coins::{Coin, Funding};
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::{Fee, Operation};
use bnsd::wallet::psbt::signed;

use super::*;
use crate::common::process::{listener, status, until};
use crate::common::python;

const NAMESPACES: [&str; 6] = ["id", "miner", "blockstack", "helloworld", "stx", "btc"];
/// What an import takes: dust for owner and hash, and the fee.
const IMPORT_COIN: Amount = Amount::from_sat(50_000);
/// Imports in a block.
const BATCH: usize = 200;
/// The price function of `.id` (sm §9).
const PRICES: PriceFunction = PriceFunction {
    coeff: 250,
    base: 4,
    buckets: [6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    nonalpha_discount: 4,
    no_vowel_discount: 4,
};
/// Blocks that a name lives: a year.
const LIFETIME: u32 = 52_595;

/// A name and its zone file.
type File = (Name, Vec<u8>);

#[test]
fn imported_names_answer_what_their_zone_files_say() {
    let files = match historical() {
        Some(files) => {
            println!("running on {} historical zone files", files.len());
            files
        }
        None => {
            println!("the historical zone files are not there: running on 200 generated ones");
            generated()
        }
    };
    let mut mirror = Mirror::start(&[]);
    import(&mut mirror, &files);
    mirror.send();
    for (name, text) in &files {
        let path = mirror.home.folder("zones").join(format!("{name}.zone"));
        fs::write(path, text).expect("a file in the scratch directory");
    }
    let mut daemon = mirror.serve(&[]);
    let server = listener(&daemon.ready(&mirror.socket()));
    until("all names and zone files", || {
        let status = status(&mirror.socket())?;
        let complete = status.height == Some(mirror.dev.tip().height)
            && status.names == files.len() as u64
            && status.zonefiles.announced.missing_count == 0;
        complete.then_some(())
    });
    let folder = mirror.home.folder("zones").display().to_string();
    let arguments = [
        &server.ip().to_string(),
        &server.port().to_string(),
        &folder,
    ];
    let compared = python::run(
        &mirror.home,
        "real_zones.py",
        &arguments.map(String::as_str),
    );
    println!("{}", compared.stdout);
    assert_eq!(compared.code, 0, "{}", compared.stderr);
}

/// Lines alternate between hash and zone file, whose line feeds are written `\n`.
fn historical() -> Option<Vec<File>> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/zonefiles-real.txt.gz");
    let path = match std::env::var_os("BNSD_VECTORS") {
        Some(folder) => PathBuf::from(folder).join("zonefiles-real.txt.gz"),
        None => path,
    };
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("a compressed text");
    let lines: Vec<&str> = text.lines().collect();
    let files = lines.chunks(2).map(|pair| {
        let bytes = pair[1].replace("\\n", "\n").into_bytes();
        assert_eq!(ZonefileHash::of(&bytes).to_string(), pair[0]);
        let origin = pair[1].split("$ORIGIN ").nth(1).expect("an origin");
        let end = origin.find(['\\', ' ', '\t', '\r']).unwrap_or(origin.len());
        let name = origin[..end].trim_end_matches('.').parse();
        (
            name.unwrap_or_else(|_| panic!("no name: {}", pair[1])),
            bytes,
        )
    });
    Some(files.collect())
}

fn generated() -> Vec<File> {
    let file = |n: usize| {
        let name: Name = format!("name{n}.{}", NAMESPACES[n % 6]).parse().unwrap();
        let text = format!(
            "$ORIGIN {name}\n$TTL 3600\n_http._tcp URI 10 1 \"https://example.org/hub/{n}/profile.json\"\npubkey TXT \"pubkey:data:{n:066}\"\n"
        );
        (name, text.into_bytes())
    };
    (0..200).map(file).collect()
}

/// Opens the namespaces and imports the names, the way their creators did.
fn import(mirror: &mut Mirror, files: &[File]) {
    let ids: Vec<NamespaceId> = NAMESPACES.iter().map(|id| id.parse().unwrap()).collect();
    let used: BTreeSet<_> = files.iter().map(|(name, _)| name.namespace_id()).collect();
    let known: BTreeSet<_> = ids.iter().cloned().map(Some).collect();
    assert!(used.is_subset(&known), "{used:?}");
    let params = Params::regtest();
    let registrar = &mut mirror.registrar;
    let price = |id: &NamespaceId| {
        let sat = price::namespace_price(id, params.epoch(1), TokenUnits::Btc);
        Amount::from_sat(sat.expect("a price in bitcoin"))
    };
    let purses = ids.iter().map(|id| TxOut {
        value: price(id) + Amount::from_sat(10_000_000),
        script_pubkey: revealer(id).script(),
    });
    registrar.give(purses.collect(), TIME).expect("funds");
    each(registrar, &ids, |registrar, id, key| {
        let burn = Fee {
            to: params.burn_address,
            amount: price(id),
        };
        let address = (key.address(), params.addresses);
        let quoted = registrar.consensus_hash();
        Operation::namespace_preorder(id, &key.script(), address, quoted, None, burn)
    });
    each(registrar, &ids, |_, id, key| {
        Operation::namespace_reveal(id, key.address(), LIFETIME, PRICES, 1)
    });
    for batch in files.chunks(BATCH) {
        import_batch(registrar, &mirror.dev, batch);
    }
    each(registrar, &ids, |_, id, key| {
        Operation::namespace_ready(id, key.address())
    });
}

fn each(
    registrar: &mut Registrar,
    ids: &[NamespaceId],
    operation: impl Fn(&Registrar, &NamespaceId, &SigningKey) -> Operation,
) {
    let transactions = ids.iter().map(|id| {
        let key = revealer(id);
        let operation = operation(registrar, id, &key);
        registrar
            .transaction(&operation, &key)
            .expect("a transaction")
    });
    let transactions = transactions.collect();
    registrar
        .mine(transactions, TIME)
        .expect("accepted operations");
}

/// One coin of the revealer for each import, so that all fit into one block.
fn import_batch(registrar: &mut Registrar, dev: &DevChain, batch: &[File]) {
    let key_of = |name: &Name| revealer(&name.namespace_id().expect("a namespace"));
    let coins = batch.iter().map(|(name, _)| TxOut {
        value: IMPORT_COIN,
        script_pubkey: key_of(name).script(),
    });
    registrar.give(coins.collect(), TIME).expect("funds");
    let mut spent: BTreeSet<OutPoint> = BTreeSet::new();
    let transactions = batch.iter().map(|(name, text)| {
        let key = key_of(name);
        let script = key.script();
        let coin = dev
            .spendable(&script)
            .into_iter()
            .find(|(outpoint, output)| output.value == IMPORT_COIN && spent.insert(*outpoint));
        let coins = [Coin::from(coin.expect("one for each"))];
        let funding = Funding {
            sender: &script,
            coins: &coins,
            change: &script,
            rate: FeeRate::from_sat_per_vb(10).unwrap(),
        };
        let owner = Registrar::owner(name).address();
        let operation = Operation::name_import(name, owner, ZonefileHash::of(text));
        let unsigned = operation.build(Params::regtest().magic, &funding);
        signed(&unsigned.expect("a transaction"), &[&key]).expect("signed")
    });
    let transactions = transactions.collect();
    registrar
        .mine(transactions, TIME)
        .expect("accepted imports");
}

fn revealer(id: &NamespaceId) -> SigningKey {
    SigningKey::dev_only_from_label(id.as_str())
}
