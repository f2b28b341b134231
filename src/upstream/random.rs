//! Numbers that nobody outside can guess: IDs, ports, letters, cookies (RFC 5452 §9.2).

/// Random bytes from the operating system's generator.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .expect("the operating system's generator does not fail once the system is up");
    bytes
}

/// A random number of 16 bits.
pub fn number() -> u16 {
    u16::from_be_bytes(bytes())
}

/// A random port that is neither privileged nor commonly listened on.
pub fn port() -> u16 {
    loop {
        let port = number();
        if port >= FIRST_PORT {
            return port;
        }
    }
}

/// Below it, services listen; above it are 55,536 ports for the attacker to guess from.
const FIRST_PORT: u16 = 10_000;

/// Gives the letters of a name in wire form random case (draft-vixie-dnsext-dns0x20).
pub(super) fn mix_case(name: &mut [u8]) {
    let random: [u8; 32] = bytes();
    for (index, byte) in name.iter_mut().enumerate() {
        let bit = random
            .get(index / 8)
            .is_some_and(|bits| bits >> (index % 8) & 1 == 1);
        // Length bytes are below 64 and so no letters.
        if byte.is_ascii_alphabetic() && bit {
            *byte ^= 0x20;
        }
    }
}
