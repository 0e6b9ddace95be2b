//! A pattern costs the host a bounded time and memory, whoever wrote it: it is compiled where a value is looked at, within a
//! size, and kept nowhere. (The engine matches in time linear in the value: no pattern can be made to backtrack.)

/// Most bytes of one compiled pattern, and of the tables that matching fills.
const COMPILED_BYTES: usize = 1 << 18;

/// A setting's pattern, compiled.
#[derive(Debug)]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// Compiles it; the anchors are implied.
    ///
    /// # Errors
    /// Why it is not a regular expression, or that it is too large.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let mut builder = regex::RegexBuilder::new(&format!("^(?:{pattern})$"));
        builder.size_limit(COMPILED_BYTES).dfa_size_limit(COMPILED_BYTES);
        builder.build().map(Self).map_err(|error| error.to_string())
    }

    /// Whether the whole value matches.
    pub fn fits(&self, value: &str) -> bool {
        self.0.is_match(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_value_matches_and_a_large_pattern_is_refused() {
        let pattern = Pattern::new("[a-z]{1,3}|x").unwrap();
        assert!(pattern.fits("abc") && !pattern.fits("abcd") && !pattern.fits("1abc"));
        for large in ["a{1000}{1000}", r"\w{1000}", r"(\pL{1,50}){1,50}"] {
            assert!(Pattern::new(large).unwrap_err().contains("exceeds size limit"), "{large}");
        }
    }
}
