//! Events as JSON: one a line, in an array whose end may be missing.

use std::{
    fmt::{self, Display, Write as _},
    io::{self, BufWriter, Write},
    time::Duration,
};

type Out = BufWriter<Box<dyn Write + Send>>;

/// Where the events go.
pub(super) struct Writer {
    out: Option<Out>,
    empty: bool,
    error: Option<io::Error>,
}

/// In which row of the picture.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) pid: u64,
    pub(super) tid: u32,
}

/// What is told besides; a value that is empty is left out.
pub(super) type Arguments<'a> = &'a [(&'a str, &'a str)];

impl Writer {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Writer {
            out: Some(BufWriter::new(out)),
            empty: true,
            error: None,
        }
    }

    /// What a process or a thread is called (`M`).
    pub(super) fn name(&mut self, what: &str, place: Place, name: &str) {
        let Place { pid, tid } = place;
        let (what, name) = (Text(what), Text(name));
        self.line(format_args!(
            r#"{{"ph":"M","name":{what},"pid":{pid},"tid":{tid},"args":{{"name":{name}}}}}"#
        ));
    }

    /// A complete slice (`X`).
    pub(super) fn slice(
        &mut self,
        place: Place,
        (category, name): (&str, &str),
        (from, to): (Duration, Duration),
        arguments: Arguments<'_>,
    ) {
        let Place { pid, tid } = place;
        let (category, name) = (Text(category), Text(name));
        let (ts, dur) = (Micros(from), Micros(to.saturating_sub(from)));
        let args = Object(arguments);
        self.line(format_args!(
            r#"{{"ph":"X","name":{name},"cat":{category},"pid":{pid},"tid":{tid},"ts":{ts},"dur":{dur},"args":{args}}}"#
        ));
    }

    /// An instant of a process (`i`).
    pub(super) fn instant(&mut self, pid: u64, name: &str, at: Duration, arguments: Arguments<'_>) {
        let (name, ts, args) = (Text(name), Micros(at), Object(arguments));
        self.line(format_args!(
            r#"{{"ph":"i","s":"p","name":{name},"cat":"request","pid":{pid},"tid":0,"ts":{ts},"args":{args}}}"#
        ));
    }

    fn line(&mut self, event: fmt::Arguments<'_>) {
        let Some(out) = self.out.as_mut().filter(|_| self.error.is_none()) else {
            return;
        };
        let before = if self.empty { "[\n" } else { ",\n" };
        self.empty = false;
        self.error = write!(out, "{before}{event}").err();
    }

    /// Writes the end, once, and gives the first error.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some(mut out) = self.out.take() else {
            return Ok(());
        };
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let end: &[u8] = if self.empty { b"[]\n" } else { b"\n]\n" };
        out.write_all(end)?;
        out.flush()
    }
}

/// A string as JSON has it.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\0'..='\x1f' => write!(f, "\\u{:04x}", u32::from(c))?,
                _ => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

struct Object<'a>(Arguments<'a>);

impl Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "{";
        for (key, value) in self.0.iter().filter(|(_, value)| !value.is_empty()) {
            write!(f, "{before}{}:{}", Text(key), Text(value))?;
            before = ",";
        }
        f.write_str(if before == "{" { "{}" } else { "}" })
    }
}

/// Microseconds, to the nanosecond: sums of them are exact, so that what nests does so to the last digit.
struct Micros(Duration);

impl Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        write!(f, "{}.{:03}", nanos / 1000, nanos % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_one_of_json_whatever_is_in_it() {
        let text = "a \"b\" \\ \n\u{1f} é 🦀";
        let parsed: String = serde_json::from_str(&Text(text).to_string()).unwrap();
        assert_eq!(parsed, text);
    }

    #[test]
    fn times_are_microseconds_to_the_nanosecond() {
        assert_eq!(
            Micros(Duration::from_nanos(1_234_005)).to_string(),
            "1234.005"
        );
        assert_eq!(Micros(Duration::ZERO).to_string(), "0.000");
    }

    #[test]
    fn what_is_empty_is_left_out() {
        let object = Object(&[("a", ""), ("b", "c"), ("d", "e")]).to_string();
        assert_eq!(object, r#"{"b":"c","d":"e"}"#);
        assert_eq!(Object(&[("a", "")]).to_string(), "{}");
    }
}
