//! The page.

use std::io::{self, BufWriter, Read, Write};

/// Makes a page of a timeline: one file with the record inside, which shows it without a network.
///
/// In it the groups of one place are a band, and their children are slices in its lanes, coloured by their
/// outcome, with their polls below. It zooms with the wheel, its buttons or `+` and `-`, moves by drag or
/// arrows, and tells all that is known of the slice that is clicked or reached with `n` and `p`. The record of
/// a program that was killed may lack its end.
///
/// The address can name what to show: `timeline.html#zoom=8&at=0.5&select=name`.
///
/// ```
/// let record = br#"[{"ph":"X","name":"a","cat":"child","pid":1,"tid":1,"ts":0,"dur":5,"args":{"outcome":"ok"}}]"#;
/// let mut page = Vec::new();
/// headcount::timeline::html(&record[..], &mut page)?;
/// assert!(page.starts_with(b"<!DOCTYPE html>"));
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// # Errors
///
/// Those of reading and writing.
pub fn html(mut record: impl Read, page: impl Write) -> io::Result<()> {
    let mut page = BufWriter::new(page);
    let mut rest = include_str!("view.html");
    while let Some((before, after)) = rest.split_once("{{") {
        page.write_all(before.as_bytes())?;
        let Some((what, after)) = after.split_once("}}") else {
            return Err(io::Error::other("the page has a hole without an end"));
        };
        match what {
            "style" => page.write_all(include_bytes!("view.css"))?,
            "script" => page.write_all(include_bytes!("view.js"))?,
            _ => embed(&mut record, &mut page)?,
        }
        rest = after;
    }
    page.write_all(rest.as_bytes())?;
    page.flush()
}

/// Writes JSON so that no string in it can end the element it stands in.
fn embed(record: &mut impl Read, page: &mut impl Write) -> io::Result<()> {
    let mut chunk = [0; 1 << 14];
    loop {
        let length = match record.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut parts = chunk[..length].split(|byte| *byte == b'<');
        page.write_all(parts.next().unwrap_or_default())?;
        for part in parts {
            page.write_all(b"\\u003c")?;
            page.write_all(part)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_in_a_record_ends_the_element_or_begins_a_comment() {
        let record = br#"[{"name":"</script><!--"}]"#;
        let mut embedded = Vec::new();
        embed(&mut &record[..], &mut embedded).unwrap();
        assert!(!embedded.contains(&b'<'));
        let [before, after]: [serde_json::Value; 2] =
            [&record[..], &embedded].map(|json| serde_json::from_slice(json).unwrap());
        assert_eq!(before, after);
    }

    #[test]
    fn every_hole_of_the_page_is_filled() {
        let mut page = Vec::new();
        html(&b"[]"[..], &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(!page.contains("{{") && !page.contains("http"));
        assert_eq!(page.matches("<script").count(), 2);
    }
}
