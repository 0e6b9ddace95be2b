//! Invariant: AES-128-CBC with PKCS#7 as `reference/inicis.md` §5.4 uses it, decryption only. Written out here from
//! FIPS 197, because the simulator shares no code with the other side and needs sixteen bytes of text at most; it is
//! not made for secrets (it looks tables up by secret values).

/// The S-box and its inverse, computed as FIPS 197 §5.1.1 defines them.
struct Boxes {
    forward: [u8; 256],
    inverse: [u8; 256],
}

/// Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
const fn product(mut a: u8, mut b: u8) -> u8 {
    let mut sum = 0;
    while b != 0 {
        if b & 1 == 1 {
            sum ^= a;
        }
        a = (a << 1) ^ (if a & 0x80 == 0 { 0 } else { 0x1b });
        b >>= 1;
    }
    sum
}

fn boxes() -> Boxes {
    let mut boxes = Boxes { forward: [0; 256], inverse: [0; 256] };
    for byte in 0..=u8::MAX {
        let reciprocal = (1..=u8::MAX).find(|other| product(byte, *other) == 1).unwrap_or(0);
        let spread = (1..5).fold(reciprocal, |sum, by| sum ^ reciprocal.rotate_left(by));
        let value = spread ^ 0x63;
        put(&mut boxes.forward, byte, value);
        put(&mut boxes.inverse, value, byte);
    }
    boxes
}

fn put(table: &mut [u8; 256], at: u8, value: u8) {
    if let Some(slot) = table.get_mut(usize::from(at)) {
        *slot = value;
    }
}

fn look(table: &[u8; 256], at: u8) -> u8 {
    table.get(usize::from(at)).copied().unwrap_or_default()
}

type Block = [u8; 16];

fn xor(left: &Block, right: &Block) -> Block {
    std::array::from_fn(|at| {
        left.get(at).copied().unwrap_or_default() ^ right.get(at).copied().unwrap_or_default()
    })
}

/// The eleven round keys.
fn round_keys(boxes: &Boxes, key: &Block) -> Vec<Block> {
    let mut words: Vec<[u8; 4]> = key.as_chunks::<4>().0.to_vec();
    let mut constant = 1_u8;
    for at in 4..44_usize {
        let before = words.get(at - 1).copied().unwrap_or_default();
        let mixed = if at.is_multiple_of(4) {
            let [a, b, c, d] = before.map(|byte| look(&boxes.forward, byte));
            let turned = [b ^ constant, c, d, a];
            constant = product(constant, 2);
            turned
        } else {
            before
        };
        let [a, b, c, d] = words.get(at - 4).copied().unwrap_or_default();
        let [e, f, g, h] = mixed;
        words.push([a ^ e, b ^ f, c ^ g, d ^ h]);
    }
    let flat = words.as_flattened();
    flat.as_chunks::<16>().0.to_vec()
}

/// Row `r` of the state moves back by `r` columns, and every byte goes through the inverse S-box.
fn unshift_unsub(boxes: &Boxes, block: &Block) -> Block {
    std::array::from_fn(|at| {
        let (column, row) = (at / 4, at % 4);
        let from = (column + 4 - row) % 4 * 4 + row;
        look(&boxes.inverse, block.get(from).copied().unwrap_or_default())
    })
}

fn unmix(block: &Block) -> Block {
    let mut mixed = *block;
    for column in mixed.as_chunks_mut::<4>().0 {
        let [a, b, c, d] = *column;
        let row = |a, b, c, d| product(a, 14) ^ product(b, 11) ^ product(c, 13) ^ product(d, 9);
        *column = [row(a, b, c, d), row(b, c, d, a), row(c, d, a, b), row(d, a, b, c)];
    }
    mixed
}

fn decrypt_block(boxes: &Boxes, keys: &[Block], block: &Block) -> Block {
    let mut rounds = keys.iter().rev();
    let mut state = rounds.next().map_or(*block, |key| xor(block, key));
    let last = keys.len().saturating_sub(2);
    for (at, key) in rounds.enumerate() {
        state = xor(&unshift_unsub(boxes, &state), key);
        if at < last {
            state = unmix(&state);
        }
    }
    state
}

/// Decrypts; `None` if the key or the IV has not 16 bytes, or the padding is wrong.
#[must_use]
pub fn decrypt(key: &str, iv: &str, cipher: &[u8]) -> Option<Vec<u8>> {
    let key: Block = key.as_bytes().try_into().ok()?;
    let mut before: Block = iv.as_bytes().try_into().ok()?;
    let (blocks, rest) = cipher.as_chunks::<16>();
    if blocks.is_empty() || !rest.is_empty() {
        return None;
    }
    let boxes = boxes();
    let keys = round_keys(&boxes, &key);
    let mut plain = Vec::with_capacity(cipher.len());
    for block in blocks {
        plain.extend(xor(&decrypt_block(&boxes, &keys, block), &before));
        before = *block;
    }
    let pad = plain.last().copied().filter(|pad| (1..=16).contains(pad))?;
    let end = plain.len().checked_sub(usize::from(pad))?;
    if plain.get(end..)?.iter().any(|byte| *byte != pad) {
        return None;
    }
    plain.truncate(end);
    Some(plain)
}
