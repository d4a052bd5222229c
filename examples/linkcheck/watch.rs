//! `--watch`: the tree of what is running, on stderr.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use headcount::TaskTree;

/// The pause between two trees.
const PAUSE: Duration = Duration::from_millis(500);

/// More lines than this are not drawn on a terminal, which may be small.
const LINES: usize = 20;

/// Shows the tree until it is cancelled: on a terminal always in the same place, else one after the
/// other.
pub async fn watch(begin: Instant) {
    let mut drawing = io::stderr().is_terminal().then(Drawing::default);
    loop {
        let tree = headcount::tree();
        let head = format!("--- {:.1?}: {}", begin.elapsed(), tree.summary());
        match &mut drawing {
            Some(drawing) => drawing.draw(&head, &tree),
            // A reader that is gone is no reason to stop.
            None => _ = writeln!(io::stderr(), "{head}\n{tree}"),
        }
        headcount::time::sleep(PAUSE).await;
    }
}

/// What stands on a terminal, above the cursor. Dropped, it is taken away.
#[derive(Default)]
struct Drawing {
    height: usize,
}

impl Drawing {
    fn draw(&mut self, head: &str, tree: &TaskTree) {
        let tree = format!("{tree:#}");
        let all = tree.lines().count();
        let mut lines: Vec<&str> = tree.lines().take(LINES).collect();
        let more = format!("… and {} more lines", all - lines.len());
        if all > lines.len() {
            lines.push(&more);
        }
        lines.insert(0, head);
        // A line that is wider than the terminal must not take two.
        let text: String = lines
            .iter()
            .map(|line| format!("{NO_WRAP}{line}{WRAP}\n"))
            .collect();
        let _ = write!(io::stderr(), "{}{text}", self.clear());
        self.height = lines.len();
    }

    fn clear(&mut self) -> String {
        match std::mem::take(&mut self.height) {
            0 => String::new(),
            height => format!("\x1b[{height}A\x1b[J"),
        }
    }
}

/// What is too long for a line is cut off.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

impl Drop for Drawing {
    fn drop(&mut self) {
        let _ = write!(io::stderr(), "{}", self.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_taken_away_once() {
        let mut drawing = Drawing { height: 7 };
        assert_eq!(drawing.clear(), "\x1b[7A\x1b[J");
        assert_eq!(drawing.clear(), "");
    }
}
