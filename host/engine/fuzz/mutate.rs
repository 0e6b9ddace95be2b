//! Mutations of components: of bytes, of numbers, and of whole sections, nested ones included.

/// Random numbers that a seed repeats: xorshift64*.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        (number % (end.max(1) as u64)) as usize
    }
}

/// Larger seeds are taken less often.
const LARGE: usize = 32 << 10;

/// Makes mutants.
pub struct Mutator {
    random: Random,
}

/// What LEB numbers and bytes like to break on.
const NUMBERS: [&[u8]; 8] = [
    &[0x00],
    &[0x7f],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x80, 0x80, 0x80, 0x08],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    &[0xff],
    &[0x40],
    &[0x80, 0x00],
];

impl Mutator {
    pub fn new(random: Random) -> Self {
        Self { random }
    }

    /// A mutant of one of the seeds. Half of them come from the first `whole` seeds, which are good, and most are changed
    /// in one place only: those come far.
    pub fn mutant(&mut self, corpus: &[Vec<u8>], whole: usize) -> Vec<u8> {
        let seeds = if self.random.below(2) == 0 { whole } else { corpus.len() };
        let mut chosen = self.random.below(seeds);
        // A large one takes a second to compile, a small one a millisecond.
        while corpus[chosen].len() > LARGE && self.random.below(64) != 0 {
            chosen = self.random.below(seeds);
        }
        let mut bytes = corpus[chosen].clone();
        let other = &corpus[self.random.below(corpus.len())];
        let most = self.random.below(4);
        for _ in 0..=self.random.below(most + 1) {
            match self.random.below(8) {
                0 | 1 => self.flip(&mut bytes),
                2 => self.number(&mut bytes),
                3 => self.cut_or_repeat(&mut bytes),
                4 => self.splice(&mut bytes, other),
                5 | 6 => self.sections(&mut bytes, other),
                _ => self.flip_early(&mut bytes),
            }
        }
        bytes
    }

    fn flip(&mut self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        let at = self.random.below(bytes.len());
        bytes[at] ^= 1 << self.random.below(8);
    }

    /// Types, imports and canonical functions come first or last; code lies between them.
    fn flip_early(&mut self, bytes: &mut [u8]) {
        let end = bytes.len().min(4096);
        let at = self.random.below(end);
        let at = if self.random.below(2) == 0 { at } else { bytes.len().saturating_sub(at + 1) };
        if let Some(byte) = bytes.get_mut(at) {
            *byte = self.random.below(256) as u8;
        }
    }

    fn number(&mut self, bytes: &mut Vec<u8>) {
        let at = self.random.below(bytes.len());
        let number = NUMBERS[self.random.below(NUMBERS.len())];
        let end = if self.random.below(2) == 0 { at } else { (at + 1).min(bytes.len()) };
        bytes.splice(at..end, number.iter().copied());
    }

    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.random.below(bytes.len());
        let longest = if self.random.below(4) == 0 { bytes.len() } else { 64 };
        start..(start + self.random.below(longest)).min(bytes.len())
    }

    fn cut_or_repeat(&mut self, bytes: &mut Vec<u8>) {
        let range = self.range(bytes);
        if self.random.below(2) == 0 {
            bytes.drain(range);
        } else {
            let again = bytes[range.clone()].to_vec();
            bytes.splice(range.end..range.end, again);
        }
    }

    fn splice(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let (from, to) = (self.range(other), self.range(bytes));
        bytes.splice(to, other[from].iter().copied());
    }

    /// Drops, repeats, swaps, replaces or changes whole sections; sizes stay right.
    fn sections(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let Some(mut sections) = split(bytes) else { return self.flip(bytes) };
        if sections.is_empty() {
            return;
        }
        let at = self.random.below(sections.len());
        match self.random.below(6) {
            0 => drop(sections.remove(at)),
            1 => {
                let again = sections[at].clone();
                sections.insert(self.random.below(sections.len() + 1), again);
            }
            2 => {
                let with = self.random.below(sections.len());
                sections.swap(at, with);
            }
            3 => {
                if let Some(others) = split(other).filter(|others| !others.is_empty()) {
                    sections.insert(at, others[self.random.below(others.len())].clone());
                }
            }
            _ => {
                let (_, body) = &mut sections[at];
                // A module or component inside is a file of its own.
                let nested = body.starts_with(b"\0asm");
                match (nested, self.random.below(3)) {
                    (true, 0 | 1) => self.sections(body, other),
                    (_, 2) => self.number(body),
                    (..) => self.flip(body),
                }
            }
        }
        let header = bytes[..8].to_vec();
        *bytes = join(&header, &sections);
    }
}

type Section = (u8, Vec<u8>);

/// The sections behind the eight bytes of the header; nothing when they do not add up.
fn split(bytes: &[u8]) -> Option<Vec<Section>> {
    let mut rest = bytes.strip_prefix(b"\0asm")?.get(4..)?;
    let mut sections = Vec::new();
    while let Some((&id, after)) = rest.split_first() {
        let (mut size, mut shift, mut used) = (0_usize, 0, 0);
        loop {
            let byte = *after.get(used)?;
            used += 1;
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 28 {
                return None;
            }
        }
        let body = after.get(used..used.checked_add(size)?)?;
        sections.push((id, body.to_vec()));
        rest = &after[used + size..];
    }
    Some(sections)
}

fn join(header: &[u8], sections: &[Section]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    for (id, body) in sections {
        bytes.push(*id);
        let mut size = body.len();
        while size >= 0x80 {
            bytes.push((size & 0x7f) as u8 | 0x80);
            size >>= 7;
        }
        bytes.push(size as u8);
        bytes.extend_from_slice(body);
    }
    bytes
}
