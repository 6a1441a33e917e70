//! The line that a stream of text has not ended yet, so that only whole lines go on.

/// What was written behind the last end of a line.
#[derive(Default)]
pub(super) struct Unfinished(String);

impl Unfinished {
    pub(super) const fn new() -> Unfinished {
        Unfinished(String::new())
    }

    /// Adds text and gives the lines that are whole by now, perhaps none. A line that becomes too long goes out in parts.
    pub(super) fn add(&mut self, text: &str) -> String {
        let before = self.0.len();
        self.0.push_str(text);
        let end = match text.rfind('\n') {
            Some(at) => before + at + 1,
            None if self.0.len() > LONGEST => self.0.len(),
            None => 0,
        };
        let rest = self.0.split_off(end);
        std::mem::replace(&mut self.0, rest)
    }

    /// Gives what there is, and leaves nothing.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.0)
    }

    /// Takes back what [`take`](Self::take) gave.
    pub(super) fn put_back(&mut self, text: String) {
        self.0 = text;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Bytes.
const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_go_on_and_the_rest_stays() {
        let mut line = Unfinished::new();
        assert_eq!(line.add("a"), "");
        assert_eq!(line.add("b\nc\nd"), "ab\nc\n");
        assert_eq!(line.add(""), "");
        assert!(!line.is_empty());
        assert_eq!(line.take(), "d");
        assert!(line.is_empty());
    }

    #[test]
    fn a_long_line_goes_out_in_parts() {
        let mut line = Unfinished::new();
        assert_eq!(line.add(&"x".repeat(LONGEST)), "");
        assert_eq!(line.add("y").len(), LONGEST + 1);
        assert!(line.is_empty());
        let ended = line.add(&format!("{}\nz", "x".repeat(2 * LONGEST)));
        assert!(ended.ends_with("x\n"));
        assert_eq!(line.take(), "z");
    }
}
