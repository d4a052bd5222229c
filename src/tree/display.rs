//! How a tree is written: for a terminal, for a log, and in one line.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    time::Duration,
};

use super::{Entry, EntryKind, EntryState, TaskTree};
use crate::{handle::TaskId, plain::Plain};

/// So many lines below one boundary at most.
const LINES: usize = 50;

/// So many levels are indented. What is deeper tells its depth instead, or the text would grow with the square
/// of the depth.
const LEVELS: usize = 64;

/// So many children whose handles one task awaits are named.
const AWAITED: usize = 3;

/// The codes of a terminal, or nothing.
#[derive(Clone, Copy)]
struct Colours(bool);

impl Colours {
    fn paint(self, code: &str, text: impl fmt::Display) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_string(),
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            EntryKind::Run => "run",
            EntryKind::Group => "group",
            EntryKind::Scope => "scope",
            EntryKind::CancelScope => "cancel scope",
            EntryKind::Task => "task",
            EntryKind::Release => "release",
            EntryKind::Start => "start",
        })
    }
}

impl fmt::Display for EntryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            EntryState::Queued => "queued",
            EntryState::Ready => "ready",
            EntryState::Running => "running",
            EntryState::Waiting => "waiting",
            EntryState::Blocking => "blocking",
            EntryState::Closing => "closing",
            EntryState::Finalizing => "finalizing",
        })
    }
}

impl EntryState {
    const ALL: [EntryState; 7] = [
        EntryState::Queued,
        EntryState::Ready,
        EntryState::Running,
        EntryState::Waiting,
        EntryState::Blocking,
        EntryState::Closing,
        EntryState::Finalizing,
    ];

    fn colour(self) -> &'static str {
        match self {
            EntryState::Running => "32",
            EntryState::Blocking => "33",
            EntryState::Closing | EntryState::Finalizing => "35",
            EntryState::Queued | EntryState::Ready | EntryState::Waiting => "2",
        }
    }
}

/// What to call the children whose handles are awaited.
type Awaited<'a> = HashMap<TaskId, &'a Entry>;

/// Who it is and what it does, without what differs between two of a kind.
fn line(entry: &Entry, awaited: &Awaited<'_>, colours: Colours) -> Result<String, fmt::Error> {
    let mut line = entry.kind.to_string();
    if let Some(name) = &entry.name {
        let name = Plain(name);
        write!(line, " {}", colours.paint("1", format_args!("`{name}`")))?;
    }
    let state = colours.paint(entry.state.colour(), entry.state);
    write!(line, " at {}: {state}", entry.location)?;
    let known = entry.awaits.iter().filter_map(|child| awaited.get(child));
    let named: Vec<_> = known.take(AWAITED).collect();
    for child in &named {
        match &child.name {
            Some(name) => write!(line, ", awaits task `{}`", Plain(name))?,
            None => write!(line, ", awaits the task at {}", child.location)?,
        }
    }
    match entry.awaits.len() - named.len() {
        0 => {}
        others if named.is_empty() => write!(line, ", awaits {others} not shown")?,
        others => write!(line, " and {others} more")?,
    }
    if let Some(cancelling) = &entry.cancelling {
        let mut text = "cancelling".to_owned();
        if let Some(since) = cancelling.since {
            write!(text, " for {since:.1?}")?;
        }
        if let Some(reason) = &cancelling.reason {
            write!(text, ", {}", Plain(reason))?;
        }
        write!(line, ", {}", colours.paint("31", text))?;
    }
    let marks = [
        (entry.daemon, ", daemon"),
        (entry.orphaned, ", its opener is gone"),
        (entry.shielded, ", shielded"),
    ];
    marks
        .iter()
        .filter(|mark| mark.0)
        .for_each(|mark| line.push_str(mark.1));
    let is_over = |left: &Duration| left.is_zero() && entry.cancelling.is_some();
    let stop_in = entry.stop_in.filter(|left| !is_over(left));
    let ends = [
        (entry.deadline_in, "deadline in", "its deadline has passed"),
        (stop_in, "is stopped in", "its stop is due"),
        (entry.grace_ends_in, "grace ends in", "its releases are cut"),
    ];
    for (left, what, over) in ends {
        match left {
            None => {}
            Some(Duration::ZERO) => write!(line, ", {over}")?,
            Some(left) => write!(line, ", {what} {left:.1?}")?,
        }
    }
    if let Some(children) = &entry.children {
        write!(
            line,
            "; {} of {} children left",
            children.living, children.spawned
        )?;
        if let Some(limit) = children.limit {
            write!(
                line,
                ", at most {limit} at a time, {} in line",
                children.in_line
            )?;
        }
    }
    Ok(line)
}

/// The times of an entry, or of several alike, of which the oldest is shown.
fn times(entry: &Entry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    if let Some(age) = entry.age {
        write!(text, "; {age:.1?} old")?;
    }
    if let Some(closing) = entry.closing_for {
        write!(text, ", closing for {closing:.1?}")?;
    }
    if let (Some(polls), Some(busy)) = (entry.polls, entry.busy) {
        write!(text, ", polls: {polls}, busy: {busy:.1?}")?;
    }
    if let Some(poll) = entry.polling_for {
        write!(text, ", of that {poll:.1?} in the poll that goes on")?;
    }
    Ok(text)
}

/// A line below a boundary: the first of those that look alike and have nothing below, and how many
/// they are.
struct Row {
    index: usize,
    count: usize,
}

impl TaskTree {
    /// One line: how many boundaries and tasks there are, and what the tasks do.
    ///
    /// ```
    /// # use headcount::{run, tree};
    /// # fn main() -> Result<(), headcount::GroupError<std::convert::Infallible>> {
    /// run(async |g| {
    ///     g.spawn_daemon(std::future::pending::<()>());
    ///     headcount::time::sleep(std::time::Duration::from_millis(1)).await;
    ///     assert!(tree().summary().starts_with("1 boundary, 1 task"));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn summary(&self) -> String {
        let (tasks, others): (Vec<_>, Vec<_>) = self
            .entries
            .iter()
            .partition(|entry| entry.kind == EntryKind::Task);
        let releases = others
            .iter()
            .filter(|entry| entry.kind == EntryKind::Release)
            .count();
        let number = |count: usize, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        };
        let mut text = number(others.len() - releases, "boundary", "boundaries");
        text = format!("{text}, {}", number(tasks.len(), "task", "tasks"));
        let mut parts = Vec::new();
        for state in EntryState::ALL {
            match tasks.iter().filter(|entry| entry.state == state).count() {
                0 => {}
                count => parts.push(format!("{count} {state}")),
            }
        }
        match tasks
            .iter()
            .filter(|entry| entry.cancelling.is_some())
            .count()
        {
            0 => {}
            count => parts.push(format!("{count} of them cancelled")),
        }
        if !parts.is_empty() {
            text = format!("{text} ({})", parts.join(", "));
        }
        match releases {
            0 => text,
            count => format!("{text}, {}", number(count, "release", "releases")),
        }
    }

    fn awaited(&self) -> Awaited<'_> {
        if self.entries.iter().all(|entry| entry.awaits.is_empty()) {
            return Awaited::new();
        }
        let tasks = self.entries.iter();
        tasks
            .filter_map(|entry| Some((entry.task?, entry)))
            .collect()
    }

    /// What is to be written below each entry, and at the root (the last list).
    fn rows(&self, lines: &[String]) -> Vec<Vec<Row>> {
        let root = self.entries.len();
        let mut has_below = vec![false; root];
        for parent in self.entries.iter().filter_map(|entry| entry.parent) {
            has_below[parent] = true;
        }
        let mut rows: Vec<Vec<Row>> = (0..=root).map(|_| Vec::new()).collect();
        let mut alike: HashMap<(usize, &str), usize> = HashMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let parent = entry.parent.unwrap_or(root);
            let rows = &mut rows[parent];
            if !has_below[index] {
                let at = *alike.entry((parent, &lines[index])).or_insert(rows.len());
                if let Some(row) = rows.get_mut(at) {
                    row.count += 1;
                    continue;
                }
            }
            rows.push(Row { index, count: 1 });
        }
        rows
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, colours: Colours) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing is running");
        }
        let awaited = self.awaited();
        let lines = self.entries.iter().map(|e| line(e, &awaited, colours));
        let lines: Result<Vec<_>, _> = lines.collect();
        let lines = lines?;
        let rows = self.rows(&lines);
        let root = self.entries.len();
        // A list, the next of its rows, and what stands before each of its lines.
        let mut open = vec![(root, 0, String::new())];
        let mut first = true;
        while let Some((list, at, indent)) = open.pop() {
            let (rows, top) = (&rows[list], list == root);
            let Some(row) = rows.get(at) else {
                continue;
            };
            if !std::mem::take(&mut first) {
                f.write_char('\n')?;
            }
            let last = at + 1 == rows.len();
            let ends = at == LINES && !last;
            let entry = &self.entries[row.index];
            let (branch, further) = match (top && !ends, last || ends) {
                _ if entry.depth > LEVELS => ("", ""),
                (true, _) => ("", ""),
                (false, false) => ("├─ ", "│  "),
                (false, true) => ("└─ ", "   "),
            };
            write!(f, "{indent}{branch}")?;
            if entry.depth > LEVELS {
                write!(f, "(depth {}) ", entry.depth)?;
            }
            if ends {
                let rest: usize = rows[at..].iter().map(|row| row.count).sum();
                write!(f, "… and {rest} more with what is below")?;
                continue;
            }
            let below = format!("{indent}{further}");
            write!(f, "{}{}", lines[row.index], times(entry)?)?;
            if row.count > 1 {
                write!(f, " ({} like this)", row.count)?;
            }
            open.push((list, at + 1, indent));
            open.push((row.index, 0, below));
        }
        Ok(())
    }
}

/// The whole tree, a line for each entry or for equal ones, indented up to a depth of 64. `{:#}` writes it in
/// colours.
impl fmt::Display for TaskTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Colours(f.alternate()))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;

    #[test]
    fn awaited_children_that_are_not_shown_are_counted() {
        let here = Location::caller();
        let mut waits = Entry::new(None, EntryKind::Task, Some("waits"), here);
        let mut known = Entry::new(None, EntryKind::Task, Some("known"), here);
        known.task = Some(TaskId(1));
        let mut awaits = |tasks: &[u64]| {
            waits.awaits = tasks.iter().copied().map(TaskId).collect();
            let awaited = Awaited::from([(TaskId(1), &known)]);
            let line = line(&waits, &awaited, Colours(false)).unwrap();
            line.split_once(": waiting").unwrap().1.to_owned()
        };
        assert_eq!(awaits(&[]), "");
        assert_eq!(awaits(&[1]), ", awaits task `known`");
        assert_eq!(awaits(&[1, 7]), ", awaits task `known` and 1 more");
        assert_eq!(awaits(&[7, 8, 9, 10]), ", awaits 4 not shown");
    }
}
