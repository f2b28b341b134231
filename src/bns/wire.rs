//! Payload bytes: what an operation says on the chain (wf §6). Parses and builds, never judges.
//!
//! Each payload has a type of its own with the fields in the order of its layout. Whether a payload is complete can
//! depend on the epoch, so parsing takes its [`Features`]; building does not.

use super::epoch::Features;
use super::name::{NAMESPACE_ID_MAX, Name, NamespaceId};
use super::price::PriceFunction;
use crate::hash::{ConsensusHash, NameHash128, PreorderHash, UpdateHash, ZonefileHash};

/// Length of the name field in the long form of a registration.
const NAME_FIELD: usize = 37;
/// Length of a token type field.
const TOKEN_TYPE_FIELD: usize = 19;
/// Length of the long form of a registration, without tokens.
const LONG_REGISTRATION: usize = 57;
/// The same with tokens.
const TOKEN_REGISTRATION: usize = 65;

/// What the `OP_RETURN` of an operation says after the magic bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// `?`
    NamePreorder(NamePreorder),
    /// `:`, with fewer than four outputs a registration, else a renewal.
    NameRegistration(NameRegistration),
    /// `+`
    NameUpdate(NameUpdate),
    /// `>`
    NameTransfer(NameTransfer),
    /// `~`
    NameRevoke {
        /// The name.
        name: Name,
    },
    /// `;`
    NameImport {
        /// The name.
        name: Name,
    },
    /// `*`
    NamespacePreorder(NamespacePreorder),
    /// `&`
    NamespaceReveal(NamespaceReveal),
    /// `!`
    NamespaceReady {
        /// The id.
        namespace_id: NamespaceId,
    },
    /// `#`
    Announce {
        /// `H160` of the message.
        message_hash: ZonefileHash,
    },
    /// `$`
    TokenTransfer(TokenTransfer),
    /// A registration, revocation or ready whose name passes the reference's character check only because
    /// that tolerates one line feed at the end (wf §5). No state accepts it, but it is an operation.
    Unregistrable {
        /// `:`, `~` or `!`
        opcode: u8,
    },
}

/// The payload is not what its opcode promises; the transaction is dropped (wf §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload is malformed")]
pub struct Malformed;

impl Payload {
    /// Reads what follows the magic bytes: opcode and body. `None`: no known opcode (wf §1 step 3).
    ///
    /// Whether a `:` is a registration or a renewal depends on the outputs, see
    /// [`super::operation::Operation`].
    pub fn parse(bytes: &[u8], features: &Features) -> Option<Result<Self, Malformed>> {
        let (&opcode, body) = bytes.split_first()?;
        let parsed = match opcode {
            b'?' => NamePreorder::parse(body, features).map(Self::NamePreorder),
            b':' => NameRegistration::parse(body, features).map(Self::NameRegistration),
            b'+' => NameUpdate::parse(body).map(Self::NameUpdate),
            b'>' => NameTransfer::parse(body).map(Self::NameTransfer),
            b'~' => name(body).map(|name| Self::NameRevoke { name }),
            b';' => name(body).map(|name| Self::NameImport { name }),
            b'*' => NamespacePreorder::parse(body, features).map(Self::NamespacePreorder),
            b'&' => NamespaceReveal::parse(body).map(Self::NamespaceReveal),
            b'!' => ready_id(body).map(|namespace_id| Self::NamespaceReady { namespace_id }),
            b'#' => {
                ZonefileHash::from_slice(body).map(|message_hash| Self::Announce { message_hash })
            }
            b'$' => TokenTransfer::parse(body, features).map(Self::TokenTransfer),
            _ => return None,
        };
        let unregistrable =
            || ends_in_line_feed(opcode, body, features).then_some(Self::Unregistrable { opcode });
        Some(parsed.or_else(unregistrable).ok_or(Malformed))
    }

    /// The opcode byte.
    pub fn opcode(&self) -> u8 {
        match self {
            Self::NamePreorder(_) => b'?',
            Self::NameRegistration(_) => b':',
            Self::NameUpdate(_) => b'+',
            Self::NameTransfer(_) => b'>',
            Self::NameRevoke { .. } => b'~',
            Self::NameImport { .. } => b';',
            Self::NamespacePreorder(_) => b'*',
            Self::NamespaceReveal(_) => b'&',
            Self::NamespaceReady { .. } => b'!',
            Self::Announce { .. } => b'#',
            Self::TokenTransfer(_) => b'$',
            Self::Unregistrable { opcode } => *opcode,
        }
    }

    /// Opcode and body as they follow the magic bytes. Of an unregistrable payload only the opcode is known.
    pub fn encode(&self) -> Vec<u8> {
        let body = match self {
            Self::NamePreorder(payload) => payload.encode(),
            Self::NameRegistration(payload) => payload.encode(),
            Self::NameUpdate(payload) => payload.encode(),
            Self::NameTransfer(payload) => payload.encode(),
            Self::NameRevoke { name } | Self::NameImport { name } => name.as_str().into(),
            Self::NamespacePreorder(payload) => payload.encode(),
            Self::NamespaceReveal(payload) => payload.encode(),
            Self::NamespaceReady { namespace_id } => format!(".{namespace_id}").into_bytes(),
            Self::Announce { message_hash } => message_hash.as_bytes().to_vec(),
            Self::TokenTransfer(payload) => payload.encode(),
            Self::Unregistrable { .. } => Vec::new(),
        };
        [&[self.opcode()][..], &body].concat()
    }
}

/// `?`: commits to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePreorder {
    /// Commitment to name, sender and owner.
    pub preorder_hash: PreorderHash,
    /// A recent consensus hash.
    pub consensus_hash: ConsensusHash,
    /// Tokens instead of bitcoin, from epoch 4 on.
    pub tokens: Option<TokenBurn>,
}

/// Tokens that a name preorder burns (wf §6, E4+).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBurn {
    /// µSTX.
    pub amount: u64,
    /// Token type without its NUL padding, at most 19 bytes; `STACKS`.
    pub token_type: Vec<u8>,
}

impl NamePreorder {
    fn parse(body: &[u8], features: &Features) -> Option<Self> {
        let (preorder_hash, consensus_hash, rest) = preorder_head(body)?;
        let tokens = match rest.len() {
            0 => None,
            27 if features.nameops_cost_tokens => {
                let (amount, token_type) = rest.split_first_chunk()?;
                Some(TokenBurn {
                    amount: u64::from_be_bytes(*amount),
                    token_type: trim_nul(token_type),
                })
            }
            _ => return None,
        };
        Some(Self {
            preorder_hash,
            consensus_hash,
            tokens,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = [
            self.preorder_hash.as_bytes(),
            self.consensus_hash.as_bytes(),
        ]
        .concat();
        if let Some(burn) = &self.tokens {
            bytes.extend(burn.amount.to_be_bytes());
            push_padded(&mut bytes, &burn.token_type, TOKEN_TYPE_FIELD);
        }
        bytes
    }
}

/// `:`: names a name that was preordered, or that its owner renews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRegistration {
    /// The name.
    pub name: Name,
    /// Zone file hash of the long form, from epoch 3 on.
    pub value_hash: Option<ZonefileHash>,
    /// Token field of the longest form, from epoch 4 on.
    pub tokens: Option<u64>,
}

impl NameRegistration {
    fn parse(body: &[u8], features: &Features) -> Option<Self> {
        if !is_long_registration(body, features) {
            return Some(Self {
                name: name(body)?,
                value_hash: None,
                tokens: None,
            });
        }
        let (field, rest) = body.split_at_checked(NAME_FIELD)?;
        let (value_hash, rest) = rest.split_first_chunk()?;
        let tokens = match body.len() {
            LONG_REGISTRATION => None,
            TOKEN_REGISTRATION if features.nameops_cost_tokens => {
                Some(u64::from_be_bytes(rest.try_into().ok()?))
            }
            _ => return None,
        };
        Some(Self {
            name: name(without_padding(field))?,
            value_hash: Some(ZonefileHash(*value_hash)),
            tokens,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let name = self.name.as_str().as_bytes();
        let Some(value_hash) = &self.value_hash else {
            return name.to_vec();
        };
        let mut bytes = Vec::with_capacity(TOKEN_REGISTRATION);
        push_padded(&mut bytes, name, NAME_FIELD);
        bytes.extend_from_slice(value_hash.as_bytes());
        bytes.extend(self.tokens.iter().flat_map(|amount| amount.to_be_bytes()));
        bytes
    }
}

/// `+`: sets the zone file hash of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameUpdate {
    /// Commitment to name and consensus hash.
    pub update_hash: UpdateHash,
    /// The new zone file hash.
    pub value_hash: ZonefileHash,
}

impl NameUpdate {
    fn parse(body: &[u8]) -> Option<Self> {
        let (update_hash, value_hash) = body.split_first_chunk()?;
        Some(Self {
            update_hash: UpdateHash(*update_hash),
            value_hash: ZonefileHash::from_slice(value_hash)?,
        })
    }

    fn encode(&self) -> Vec<u8> {
        [self.update_hash.as_bytes(), self.value_hash.as_bytes()].concat()
    }
}

/// `>`: gives a name away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTransfer {
    /// Whether the zone file hash stays.
    pub keep_data: bool,
    /// Which name.
    pub name_hash128: NameHash128,
    /// A recent consensus hash; the name may keep another one (quirk TRANSFER-CH).
    pub consensus_hash: ConsensusHash,
}

impl NameTransfer {
    fn parse(body: &[u8]) -> Option<Self> {
        let (disposition, rest) = body.split_first()?;
        let (name_hash128, consensus_hash) = rest.split_first_chunk()?;
        Some(Self {
            keep_data: match disposition {
                b'>' => true,
                b'~' => false,
                _ => return None,
            },
            name_hash128: NameHash128(*name_hash128),
            consensus_hash: ConsensusHash::from_slice(consensus_hash)?,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let disposition = if self.keep_data { b">" } else { b"~" };
        let hashes = [self.name_hash128.as_bytes(), self.consensus_hash.as_bytes()];
        [&disposition[..], hashes[0], hashes[1]].concat()
    }
}

/// `*`: commits to a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespacePreorder {
    /// Commitment to id, sender and revealer.
    pub preorder_hash: PreorderHash,
    /// A recent consensus hash.
    pub consensus_hash: ConsensusHash,
    /// µSTX, from epoch 4 on.
    pub tokens: Option<u64>,
}

impl NamespacePreorder {
    fn parse(body: &[u8], features: &Features) -> Option<Self> {
        let (preorder_hash, consensus_hash, rest) = preorder_head(body)?;
        let tokens = match (features.stacks_buy_namespaces, rest.len()) {
            (false, 0) => None,
            (true, 8) => Some(u64::from_be_bytes(rest.try_into().ok()?)),
            _ => return None,
        };
        Some(Self {
            preorder_hash,
            consensus_hash,
            tokens,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = [
            self.preorder_hash.as_bytes(),
            self.consensus_hash.as_bytes(),
        ]
        .concat();
        bytes.extend(self.tokens.iter().flat_map(|amount| amount.to_be_bytes()));
        bytes
    }
}

/// `&`: says which namespace was preordered and by which rules it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceReveal {
    /// Lifetime of names in blocks, `u32::MAX` for ever.
    pub lifetime: u32,
    /// Price function.
    pub price: PriceFunction,
    /// 1, 2 or 3.
    pub version: u16,
    /// The id.
    pub namespace_id: NamespaceId,
}

impl NamespaceReveal {
    fn parse(body: &[u8]) -> Option<Self> {
        let (lifetime, rest) = body.split_first_chunk()?;
        let (price, rest) = rest.split_first_chunk()?;
        let (version, id) = rest.split_first_chunk()?;
        let version = u16::from_be_bytes(*version);
        Some(Self {
            lifetime: u32::from_be_bytes(*lifetime),
            price: price_function(*price)?,
            version: (1..=3).contains(&version).then_some(version)?,
            namespace_id: NamespaceId::from_bytes(id).ok()?,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let price = &self.price;
        let mut bytes = self.lifetime.to_be_bytes().to_vec();
        bytes.extend([price.coeff, price.base]);
        let pairs = price.buckets.chunks_exact(2);
        bytes.extend(pairs.map(|pair| pair[0] << 4 | pair[1] & 15));
        bytes.push(price.nonalpha_discount << 4 | price.no_vowel_discount & 15);
        bytes.extend(self.version.to_be_bytes());
        bytes.extend_from_slice(self.namespace_id.as_str().as_bytes());
        bytes
    }
}

/// Coefficient, base, sixteen exponents and two discounts, neither of which is 0.
fn price_function([coeff, base, nibbles @ .., discounts]: [u8; 11]) -> Option<PriceFunction> {
    let mut buckets = [0; 16];
    for (pair, byte) in buckets.chunks_exact_mut(2).zip(nibbles) {
        pair.copy_from_slice(&[byte >> 4, byte & 15]);
    }
    let (nonalpha_discount, no_vowel_discount) = (discounts >> 4, discounts & 15);
    (nonalpha_discount > 0 && no_vowel_discount > 0).then_some(PriceFunction {
        coeff,
        base,
        buckets,
        nonalpha_discount,
        no_vowel_discount,
    })
}

/// `$`: moves tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTransfer {
    /// A recent consensus hash.
    pub consensus_hash: ConsensusHash,
    /// Token type without its NUL padding.
    pub token_type: Vec<u8>,
    /// µSTX.
    pub amount: u64,
    /// Free bytes.
    pub scratch_area: Vec<u8>,
}

impl TokenTransfer {
    fn parse(body: &[u8], features: &Features) -> Option<Self> {
        let (consensus_hash, rest) = body.split_first_chunk()?;
        let (token_type, rest) = rest.split_first_chunk::<TOKEN_TYPE_FIELD>()?;
        let (amount, scratch_area) = rest.split_first_chunk()?;
        features.token_transfer.then_some(Self {
            consensus_hash: ConsensusHash(*consensus_hash),
            token_type: trim_nul(token_type),
            amount: u64::from_be_bytes(*amount),
            scratch_area: scratch_area.to_vec(),
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.consensus_hash.as_bytes().to_vec();
        push_padded(&mut bytes, &self.token_type, TOKEN_TYPE_FIELD);
        bytes.extend(self.amount.to_be_bytes());
        bytes.extend_from_slice(&self.scratch_area);
        bytes
    }
}

fn preorder_head(body: &[u8]) -> Option<(PreorderHash, ConsensusHash, &[u8])> {
    let (preorder_hash, rest) = body.split_first_chunk()?;
    let (consensus_hash, rest) = rest.split_first_chunk()?;
    Some((
        PreorderHash(*preorder_hash),
        ConsensusHash(*consensus_hash),
        rest,
    ))
}

/// A dot and an id.
fn ready_id(body: &[u8]) -> Option<NamespaceId> {
    NamespaceId::from_bytes(body.strip_prefix(b".")?).ok()
}

fn is_long_registration(body: &[u8], features: &Features) -> bool {
    features.register_with_value_hash && body.len() >= LONG_REGISTRATION
}

/// Whether a body that does not parse would, without the line feed that its name or id ends in (wf §5). Reveals and
/// imports are no such operations: the reference computes their commitment, which knows no line feed. It
/// drops the reveal and stops at the import; here both are unparseable.
fn ends_in_line_feed(opcode: u8, body: &[u8], features: &Features) -> bool {
    match opcode {
        b':' if is_long_registration(body, features) => {
            let (field, rest) = body.split_at(NAME_FIELD);
            let mut legal = Vec::with_capacity(body.len());
            push_padded(&mut legal, b"a.a", NAME_FIELD);
            legal.extend_from_slice(rest);
            is_name_with_line_feed(without_padding(field))
                && NameRegistration::parse(&legal, features).is_some()
        }
        b'~' | b':' => is_name_with_line_feed(body),
        b'!' => {
            let id = body.strip_suffix(b"\n").and_then(ready_id);
            id.is_some() && body.len() <= 1 + NAMESPACE_ID_MAX
        }
        _ => false,
    }
}

/// The character check looks at label and namespace on their own, so either may end in a line feed.
fn is_name_with_line_feed(bytes: &[u8]) -> bool {
    let mut parts = bytes.split(|&byte| byte == b'.');
    let (Some(label), Some(namespace), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let trim = |part| <[u8]>::strip_suffix(part, b"\n").unwrap_or(part);
    let legal = [trim(label), trim(namespace)].join(&b'.');
    bytes.len() <= NAME_FIELD
        && namespace.len() <= NAMESPACE_ID_MAX
        && legal.len() < bytes.len()
        && name(&legal).is_some()
}

fn name(bytes: &[u8]) -> Option<Name> {
    Name::from_bytes(bytes).ok()
}

/// Without the NULs at the end.
fn without_padding(field: &[u8]) -> &[u8] {
    let end = field.iter().rposition(|&byte| byte != 0);
    field.get(..=end.unwrap_or_default()).unwrap_or_default()
}

/// Without leading and trailing NULs (wf §6, `?`).
fn trim_nul(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().take_while(|&&byte| byte == 0).count();
    let end = bytes.iter().rposition(|&byte| byte != 0);
    let trimmed = end.and_then(|last| bytes.get(start..=last));
    trimmed.unwrap_or_default().to_vec()
}

fn push_padded(bytes: &mut Vec<u8>, value: &[u8], width: usize) {
    let padding = std::iter::repeat(&0);
    bytes.extend(value.iter().chain(padding).take(width));
}
