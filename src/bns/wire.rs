//! Payload bytes: what an operation says on chain (wf §6). Parses and builds, never judges.

use super::epoch::Features;
use super::name::{NAMESPACE_ID_MAX, Name, NamespaceId};
use super::price::PriceFunction;
use crate::hash::{ConsensusHash, NameHash128, PreorderHash, UpdateHash, ZonefileHash};

/// Tokens that a name preorder burns (wf §6, E4+).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBurn {
    /// µSTX.
    pub amount: u64,
    /// Token type without its NUL padding, at most 19 bytes; `STACKS`.
    pub token_type: Vec<u8>,
}

/// What the `OP_RETURN` of an operation says after the magic bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// `?`
    NamePreorder {
        /// Commitment to name, sender and owner.
        preorder_hash: PreorderHash,
        /// A recent consensus hash.
        consensus_hash: ConsensusHash,
        /// Tokens instead of bitcoin.
        tokens: Option<TokenBurn>,
    },
    /// `:`, with fewer than four outputs a registration, else a renewal.
    NameRegistration {
        /// The name.
        name: Name,
        /// Zone file hash of the long form.
        value_hash: Option<ZonefileHash>,
        /// Token field of the longest form.
        tokens: Option<u64>,
    },
    /// `+`
    NameUpdate {
        /// Commitment to name and consensus hash.
        update_hash: UpdateHash,
        /// The new zone file hash.
        value_hash: ZonefileHash,
    },
    /// `>`
    NameTransfer {
        /// Whether the zone file hash stays.
        keep_data: bool,
        /// Which name.
        name_hash128: NameHash128,
        /// A recent consensus hash.
        consensus_hash: ConsensusHash,
    },
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
    NamespacePreorder {
        /// Commitment to id, sender and revealer.
        preorder_hash: PreorderHash,
        /// A recent consensus hash.
        consensus_hash: ConsensusHash,
        /// µSTX, from epoch 4 on.
        tokens: Option<u64>,
    },
    /// `&`
    NamespaceReveal {
        /// Lifetime of names in blocks, `u32::MAX` for ever.
        lifetime: u32,
        /// Price function.
        price: PriceFunction,
        /// 1, 2 or 3.
        version: u16,
        /// The id.
        namespace_id: NamespaceId,
    },
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
    TokenTransfer {
        /// A recent consensus hash.
        consensus_hash: ConsensusHash,
        /// Token type without its NUL padding.
        token_type: Vec<u8>,
        /// µSTX.
        amount: u64,
        /// Free bytes.
        scratch_area: Vec<u8>,
    },
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

/// Length of the name field in the long form of a registration.
const NAME_FIELD: usize = 37;
/// Length of a token type field.
const TOKEN_TYPE_FIELD: usize = 19;
/// Length of the long form of a registration, without tokens.
const LONG_REGISTRATION: usize = 57;
/// The same with tokens.
const TOKEN_REGISTRATION: usize = 65;

impl Payload {
    /// Reads what follows the magic bytes: opcode and body. `None`: no known opcode (wf §1 step 3).
    ///
    /// Whether a `:` is a registration or a renewal depends on the outputs, see
    /// [`super::operation::Operation`].
    pub fn parse(bytes: &[u8], features: &Features) -> Option<Result<Self, Malformed>> {
        let (&opcode, body) = bytes.split_first()?;
        let parsed = match opcode {
            b'?' => name_preorder(body, features),
            b':' => name_registration(body, features),
            b'+' => name_update(body),
            b'>' => name_transfer(body),
            b'~' => name(body).map(|name| Self::NameRevoke { name }),
            b';' => name(body).map(|name| Self::NameImport { name }),
            b'*' => namespace_preorder(body, features),
            b'&' => namespace_reveal(body),
            b'!' => namespace_ready(body),
            b'#' => hash20(body).map(|hash| Self::Announce {
                message_hash: ZonefileHash(hash),
            }),
            b'$' => token_transfer(body, features),
            _ => return None,
        };
        let unregistrable =
            || ends_in_line_feed(opcode, body, features).then_some(Self::Unregistrable { opcode });
        Some(parsed.or_else(unregistrable).ok_or(Malformed))
    }

    /// The opcode byte.
    pub fn opcode(&self) -> u8 {
        match self {
            Self::NamePreorder { .. } => b'?',
            Self::NameRegistration { .. } => b':',
            Self::NameUpdate { .. } => b'+',
            Self::NameTransfer { .. } => b'>',
            Self::NameRevoke { .. } => b'~',
            Self::NameImport { .. } => b';',
            Self::NamespacePreorder { .. } => b'*',
            Self::NamespaceReveal { .. } => b'&',
            Self::NamespaceReady { .. } => b'!',
            Self::Announce { .. } => b'#',
            Self::TokenTransfer { .. } => b'$',
            Self::Unregistrable { opcode } => *opcode,
        }
    }

    /// Opcode and body as they follow the magic bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.opcode()];
        match self {
            Self::NamePreorder {
                preorder_hash,
                consensus_hash,
                tokens,
            } => {
                bytes.extend_from_slice(preorder_hash.as_bytes());
                bytes.extend_from_slice(consensus_hash.as_bytes());
                if let Some(burn) = tokens {
                    bytes.extend_from_slice(&burn.amount.to_be_bytes());
                    push_padded(&mut bytes, &burn.token_type, TOKEN_TYPE_FIELD);
                }
            }
            Self::NameRegistration {
                name,
                value_hash: None,
                ..
            } => {
                bytes.extend_from_slice(name.as_str().as_bytes());
            }
            Self::NameRegistration {
                name,
                value_hash: Some(value_hash),
                tokens,
            } => {
                push_padded(&mut bytes, name.as_str().as_bytes(), NAME_FIELD);
                bytes.extend_from_slice(value_hash.as_bytes());
                bytes.extend(tokens.iter().flat_map(|amount| amount.to_be_bytes()));
            }
            Self::NameUpdate {
                update_hash,
                value_hash,
            } => {
                bytes.extend_from_slice(update_hash.as_bytes());
                bytes.extend_from_slice(value_hash.as_bytes());
            }
            Self::NameTransfer {
                keep_data,
                name_hash128,
                consensus_hash,
            } => {
                bytes.push(if *keep_data { b'>' } else { b'~' });
                bytes.extend_from_slice(name_hash128.as_bytes());
                bytes.extend_from_slice(consensus_hash.as_bytes());
            }
            Self::NameRevoke { name } | Self::NameImport { name } => {
                bytes.extend_from_slice(name.as_str().as_bytes());
            }
            Self::NamespacePreorder {
                preorder_hash,
                consensus_hash,
                tokens,
            } => {
                bytes.extend_from_slice(preorder_hash.as_bytes());
                bytes.extend_from_slice(consensus_hash.as_bytes());
                bytes.extend(tokens.iter().flat_map(|amount| amount.to_be_bytes()));
            }
            Self::NamespaceReveal {
                lifetime,
                price,
                version,
                namespace_id,
            } => {
                bytes.extend_from_slice(&lifetime.to_be_bytes());
                bytes.extend_from_slice(&[price.coeff, price.base]);
                bytes.extend(
                    price
                        .buckets
                        .chunks_exact(2)
                        .map(|pair| pair[0] << 4 | pair[1] & 15),
                );
                bytes.push(price.nonalpha_discount << 4 | price.no_vowel_discount & 15);
                bytes.extend_from_slice(&version.to_be_bytes());
                bytes.extend_from_slice(namespace_id.as_str().as_bytes());
            }
            Self::NamespaceReady { namespace_id } => {
                bytes.push(b'.');
                bytes.extend_from_slice(namespace_id.as_str().as_bytes());
            }
            Self::Announce { message_hash } => bytes.extend_from_slice(message_hash.as_bytes()),
            Self::TokenTransfer {
                consensus_hash,
                token_type,
                amount,
                scratch_area,
            } => {
                bytes.extend_from_slice(consensus_hash.as_bytes());
                push_padded(&mut bytes, token_type, TOKEN_TYPE_FIELD);
                bytes.extend_from_slice(&amount.to_be_bytes());
                bytes.extend_from_slice(scratch_area);
            }
            Self::Unregistrable { .. } => {}
        }
        bytes
    }
}

fn name_preorder(body: &[u8], features: &Features) -> Option<Payload> {
    let (preorder_hash, consensus_hash, rest) = preorder_head(body)?;
    let tokens = match rest.len() {
        0 => None,
        27 if features.nameops_cost_tokens => {
            let (amount, token_type) = rest.split_first_chunk::<8>()?;
            Some(TokenBurn {
                amount: u64::from_be_bytes(*amount),
                token_type: trim_nul(token_type),
            })
        }
        _ => return None,
    };
    Some(Payload::NamePreorder {
        preorder_hash,
        consensus_hash,
        tokens,
    })
}

fn name_registration(body: &[u8], features: &Features) -> Option<Payload> {
    if !features.register_with_value_hash || body.len() < LONG_REGISTRATION {
        return Some(Payload::NameRegistration {
            name: name(body)?,
            value_hash: None,
            tokens: None,
        });
    }
    let (field, rest) = body.split_at_checked(NAME_FIELD)?;
    let (value_hash, rest) = rest.split_first_chunk::<20>()?;
    let tokens = match body.len() {
        LONG_REGISTRATION => None,
        TOKEN_REGISTRATION if features.nameops_cost_tokens => {
            Some(u64::from_be_bytes(rest.try_into().ok()?))
        }
        _ => return None,
    };
    let padding = field.iter().rev().take_while(|&&byte| byte == 0).count();
    let name = name(field.get(..NAME_FIELD.checked_sub(padding)?)?)?;
    Some(Payload::NameRegistration {
        name,
        value_hash: Some(ZonefileHash(*value_hash)),
        tokens,
    })
}

fn name_update(body: &[u8]) -> Option<Payload> {
    let (update_hash, value_hash) = body.split_first_chunk::<16>()?;
    let value_hash = ZonefileHash::from_slice(value_hash)?;
    Some(Payload::NameUpdate {
        update_hash: UpdateHash(*update_hash),
        value_hash,
    })
}

fn name_transfer(body: &[u8]) -> Option<Payload> {
    let (disposition, rest) = body.split_first()?;
    let keep_data = match disposition {
        b'>' => true,
        b'~' => false,
        _ => return None,
    };
    let (name_hash128, consensus_hash) = rest.split_first_chunk::<16>()?;
    let consensus_hash = ConsensusHash::from_slice(consensus_hash)?;
    Some(Payload::NameTransfer {
        keep_data,
        name_hash128: NameHash128(*name_hash128),
        consensus_hash,
    })
}

fn namespace_preorder(body: &[u8], features: &Features) -> Option<Payload> {
    let (preorder_hash, consensus_hash, rest) = preorder_head(body)?;
    let tokens = match (features.stacks_buy_namespaces, rest.len()) {
        (false, 0) => None,
        (true, 8) => Some(u64::from_be_bytes(rest.try_into().ok()?)),
        _ => return None,
    };
    Some(Payload::NamespacePreorder {
        preorder_hash,
        consensus_hash,
        tokens,
    })
}

fn namespace_reveal(body: &[u8]) -> Option<Payload> {
    let (lifetime, rest) = body.split_first_chunk::<4>()?;
    let (&[coeff, base], rest) = rest.split_first_chunk::<2>()?;
    let (nibbles, rest) = rest.split_first_chunk::<8>()?;
    let (&[discounts, version_high, version_low], id) = rest.split_first_chunk::<3>()?;
    let mut buckets = [0; 16];
    for (pair, byte) in buckets.chunks_exact_mut(2).zip(nibbles) {
        pair.copy_from_slice(&[byte >> 4, byte & 15]);
    }
    let (nonalpha_discount, no_vowel_discount) = (discounts >> 4, discounts & 15);
    let version = u16::from_be_bytes([version_high, version_low]);
    if nonalpha_discount == 0 || no_vowel_discount == 0 || !(1..=3).contains(&version) {
        return None;
    }
    let price = PriceFunction {
        coeff,
        base,
        buckets,
        nonalpha_discount,
        no_vowel_discount,
    };
    let namespace_id = NamespaceId::from_bytes(id).ok()?;
    Some(Payload::NamespaceReveal {
        lifetime: u32::from_be_bytes(*lifetime),
        price,
        version,
        namespace_id,
    })
}

fn namespace_ready(body: &[u8]) -> Option<Payload> {
    let namespace_id = NamespaceId::from_bytes(body.strip_prefix(b".")?).ok()?;
    Some(Payload::NamespaceReady { namespace_id })
}

fn token_transfer(body: &[u8], features: &Features) -> Option<Payload> {
    if !features.token_transfer {
        return None;
    }
    let (consensus_hash, rest) = body.split_first_chunk::<16>()?;
    let (token_type, rest) = rest.split_first_chunk::<TOKEN_TYPE_FIELD>()?;
    let (amount, scratch_area) = rest.split_first_chunk::<8>()?;
    Some(Payload::TokenTransfer {
        consensus_hash: ConsensusHash(*consensus_hash),
        token_type: trim_nul(token_type),
        amount: u64::from_be_bytes(*amount),
        scratch_area: scratch_area.to_vec(),
    })
}

fn preorder_head(body: &[u8]) -> Option<(PreorderHash, ConsensusHash, &[u8])> {
    let (preorder_hash, rest) = body.split_first_chunk::<20>()?;
    let (consensus_hash, rest) = rest.split_first_chunk::<16>()?;
    Some((
        PreorderHash(*preorder_hash),
        ConsensusHash(*consensus_hash),
        rest,
    ))
}

/// Whether a body that does not parse would, without the line feed that its name or id ends in. Reveals and
/// imports are no such operations: the reference computes their commitment, which knows no line feed. It
/// drops the reveal and stops at the import; here both are unparseable.
fn ends_in_line_feed(opcode: u8, body: &[u8], features: &Features) -> bool {
    match opcode {
        b'~' => is_name_with_line_feed(body),
        b':' if !features.register_with_value_hash || body.len() < LONG_REGISTRATION => {
            is_name_with_line_feed(body)
        }
        b':' => {
            let (field, rest) = body.split_at(NAME_FIELD);
            let padding = field.iter().rev().take_while(|&&byte| byte == 0).count();
            let mut legal = b"a.a".to_vec();
            legal.resize(NAME_FIELD, 0);
            legal.extend_from_slice(rest);
            is_name_with_line_feed(field.get(..NAME_FIELD - padding).unwrap_or_default())
                && name_registration(&legal, features).is_some()
        }
        b'!' => body.strip_suffix(b"\n").is_some_and(|rest| {
            body.len() <= 1 + NAMESPACE_ID_MAX && namespace_ready(rest).is_some()
        }),
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

fn hash20(bytes: &[u8]) -> Option<[u8; 20]> {
    bytes.try_into().ok()
}

/// Without leading and trailing NULs (wf §6, `?`).
fn trim_nul(bytes: &[u8]) -> Vec<u8> {
    let start = bytes
        .iter()
        .position(|&byte| byte != 0)
        .unwrap_or(bytes.len());
    let end = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default().to_vec()
}

fn push_padded(bytes: &mut Vec<u8>, value: &[u8], width: usize) {
    bytes.extend(
        value
            .iter()
            .copied()
            .chain(std::iter::repeat(0))
            .take(width),
    );
}
