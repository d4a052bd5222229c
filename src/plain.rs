//! Text of others, such as names, in a line of ours.

use std::fmt::{self, Write};

/// Displayed with its control characters escaped: a name may neither begin a line of its own in a log nor
/// command a terminal. All else is as it was.
pub(crate) struct Plain<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            let mut rest = part.chars();
            match rest.next_back().filter(|last| last.is_control()) {
                Some(control) => write!(self.0, "{}{}", rest.as_str(), control.escape_default())?,
                None => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_nothing_else_is() {
        for (text, shown) in [
            ("", ""),
            (
                "a `name` of 100% \\ 'häßlich' 名前 🦀",
                "a `name` of 100% \\ 'häßlich' 名前 🦀",
            ),
            ("two\nlines\r\n", "two\\nlines\\r\\n"),
            ("\u{1b}[2Jred\u{9b}", "\\u{1b}[2Jred\\u{9b}"),
        ] {
            assert_eq!(Plain(text).to_string(), shown);
        }
    }
}
