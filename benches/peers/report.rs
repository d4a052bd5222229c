//! The results for people: a table and a bar chart.

use std::fmt::Write;

use crate::contest::{Contest, Measured};

pub type Results = [(&'static Contest, Measured)];

pub fn table(results: &Results) -> String {
    let mut text = format!(
        "{:34}{:>7}{:>8}{:>8}{:>9}{:>8}{:>13}{:>13}\n",
        "ours by theirs, medians", "ratio", "low", "high", "at most", "", "ours", "theirs"
    );
    for (contest, measured) in results {
        let (low, high) = measured.range();
        let ratio = measured.ratio();
        let (at_most, verdict) = match contest.at_most {
            Some(at_most) if ratio <= at_most => (format!("{at_most:.2}"), "met"),
            Some(at_most) => (format!("{at_most:.2}"), "missed"),
            None => (String::new(), ""),
        };
        writeln!(
            text,
            "{:34}{ratio:7.2}{low:8.2}{high:8.2}{at_most:>9}{verdict:>8}{:10.2} {:2}{:10.2} {:2}",
            contest.name,
            measured.ours(),
            contest.ours.unit(),
            measured.theirs(),
            contest.theirs.unit(),
        )
        .unwrap();
    }
    text
}

/// One column is a twentieth of theirs; the line stands where both are the same.
pub fn chart(results: &Results) -> String {
    const COLUMNS: usize = 40;
    const PER_ONE: usize = 20;
    let mut text = String::from("the bar is ours, the line is theirs\n");
    for (contest, measured) in results {
        let ratio = measured.ratio();
        let filled = (ratio * PER_ONE as f64).round() as usize;
        let bar: String = (0..COLUMNS)
            .map(|column| match column {
                PER_ONE => '|',
                _ if column < filled => '█',
                _ => ' ',
            })
            .collect();
        let cut = if filled > COLUMNS { '…' } else { ' ' };
        writeln!(text, "{:34}{bar}{cut}{ratio:6.2}", contest.name).unwrap();
    }
    text
}
