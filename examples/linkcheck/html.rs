//! What a page holds: the links it contains and the places in it that a `#fragment` can name.

use std::collections::HashSet;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};
use percent_encoding::percent_decode_str;

/// What a link is used for, which decides how it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something a reader goes to (`<a>`, `<area>`, `<iframe>`): fetched and, if it is HTML, crawled.
    Page,
    /// Something a page loads (images, scripts, styles): only its existence is checked.
    File,
    /// Where the page sends its reader by itself (`<meta http-equiv="refresh">`).
    Refresh,
}

/// The places of a page that a fragment can name.
///
/// Source pages have an id for each line, tens of thousands on one page, so plain numbers are
/// kept as numbers.
#[derive(Debug, Default)]
pub struct Anchors {
    names: HashSet<Box<str>>,
    lines: HashSet<u32>,
}

impl Anchors {
    fn insert(&mut self, name: String) {
        match line_number(&name) {
            Some(line) => {
                self.lines.insert(line);
            }
            None => {
                self.names.insert(name.into());
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        match line_number(name) {
            Some(line) => self.lines.contains(&line),
            None => self.names.contains(name),
        }
    }

    /// Whether a browser that follows `#fragment` finds a place on this page.
    ///
    /// The HTML standard asks first for the fragment as it is written, then for its
    /// percent-decoded form; an empty one and `top` always mean the top of the page. rustdoc's
    /// source pages also take ranges of lines (`#10-20`), which a script of theirs resolves: such a
    /// range is right if both its lines exist.
    pub fn resolves(&self, fragment: &str) -> bool {
        let (fragment, _directive) = fragment.split_once(":~:").unwrap_or((fragment, ""));
        if fragment.is_empty() || self.has(fragment) {
            return true;
        }
        let Ok(decoded) = percent_decode_str(fragment).decode_utf8() else {
            return false;
        };
        if self.has(&decoded) || decoded.eq_ignore_ascii_case("top") {
            return true;
        }
        match decoded.split_once('-') {
            Some((first, last)) => [first, last]
                .into_iter()
                .all(|line| line_number(line).is_some_and(|line| self.lines.contains(&line))),
            None => false,
        }
    }
}

/// The number an id consists of, if it is written without leading zeros: then number and text
/// stand for each other.
fn line_number(name: &str) -> Option<u32> {
    let line: u32 = name.parse().ok()?;
    (name.starts_with(|c: char| ('1'..='9').contains(&c))).then_some(line)
}

/// What [`read`] finds on a page. Links are as written, in order, each once.
#[derive(Debug, Default)]
pub struct Page {
    pub base: Option<String>,
    pub links: Vec<(Kind, String)>,
    pub anchors: Anchors,
}

/// Reads a page. Broken HTML is no error: like a browser, it takes what it can.
pub fn read(text: &str) -> Page {
    let mut reader = Reader::default();
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| {
        reader.event(event);
        None::<std::convert::Infallible>
    });
    // Otherwise the contents of `<script>` and `<style>` would be taken for markup.
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(text, emitter).finish();
    reader.page
}

#[derive(Default)]
struct Reader {
    page: Page,
    seen: HashSet<(Kind, String)>,
    element: Option<String>,
    attributes: Vec<(String, String)>,
}

impl Reader {
    fn event(&mut self, event: CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.element = Some(text(name));
                self.attributes.clear();
            }
            // Attributes may also come before an end tag; those mean nothing.
            CallbackEvent::AttributeName { name } if self.element.is_some() => {
                self.attributes.push((text(name), String::new()));
            }
            CallbackEvent::AttributeValue { value } if self.element.is_some() => {
                if let Some(attribute) = self.attributes.last_mut() {
                    attribute.1 = text(value);
                }
            }
            CallbackEvent::CloseStartTag { .. } => {
                if let Some(element) = self.element.take() {
                    self.element_ends(&element);
                }
            }
            _ => {}
        }
    }

    fn element_ends(&mut self, element: &str) {
        let attributes = std::mem::take(&mut self.attributes);
        let value = |name: &str| {
            let found = attributes.iter().find(|(n, _)| n == name);
            found.map(|(_, value)| value.as_str())
        };
        for (name, value) in &attributes {
            let names_a_place = name == "id" || (name == "name" && element == "a");
            if names_a_place && !value.is_empty() {
                self.page.anchors.insert(value.clone());
            }
            if name == "srcset" && matches!(element, "img" | "source") {
                srcset(value).for_each(|url| self.link(Kind::File, url));
            }
        }
        let link = match element {
            "a" | "area" => value("href").map(|url| (Kind::Page, url)),
            "iframe" | "frame" => value("src").map(|url| (Kind::Page, url)),
            "img" | "script" | "source" | "audio" | "track" | "embed" | "input" => {
                value("src").map(|url| (Kind::File, url))
            }
            "video" => {
                if let Some(poster) = value("poster") {
                    self.link(Kind::File, poster);
                }
                value("src").map(|url| (Kind::File, url))
            }
            "object" => value("data").map(|url| (Kind::File, url)),
            "link" => {
                let rel = value("rel").unwrap_or_default().to_ascii_lowercase();
                // These name a host to be got ready, not a thing to be loaded.
                let host_only = ["preconnect", "dns-prefetch"].contains(&rel.trim());
                let url = value("href").filter(|_| !host_only);
                url.map(|url| (Kind::File, url))
            }
            "meta" => {
                let equiv = value("http-equiv").unwrap_or_default();
                let url = value("content").and_then(refresh);
                url.filter(|_| equiv.eq_ignore_ascii_case("refresh"))
                    .map(|url| (Kind::Refresh, url))
            }
            "base" => {
                if let (None, Some(href)) = (&self.page.base, value("href")) {
                    self.page.base = Some(href.to_owned());
                }
                None
            }
            _ => None,
        };
        if let Some((kind, url)) = link {
            self.link(kind, url);
        }
    }

    fn link(&mut self, kind: Kind, url: &str) {
        // An empty one is the page itself.
        let link = (kind, url.trim_ascii().to_owned());
        if !link.1.is_empty() && self.seen.insert(link.clone()) {
            self.page.links.push(link);
        }
    }
}

/// The text is known to be UTF-8; the tokenizer hands out its pieces as bytes.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The URLs of a `srcset`: candidates `url [descriptor]` with commas between them.
fn srcset(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace());
        let url = &rest[..end.unwrap_or(rest.len())];
        rest = &rest[url.len()..];
        // A comma at its end closes the candidate; else descriptors follow up to the next comma.
        let bare = url.trim_end_matches(',');
        if bare.len() == url.len() {
            rest = rest.find(',').map_or("", |comma| &rest[comma..]);
        }
        Some(bare)
    })
}

/// The URL of a refresh: `0; URL='next.html'`.
fn refresh(content: &str) -> Option<&str> {
    let (_seconds, rest) = content.split_once([';', ','])?;
    let rest = rest.trim_ascii();
    let url = match rest.get(..3) {
        Some(key) if key.eq_ignore_ascii_case("url") => {
            rest[3..].trim_ascii_start().strip_prefix('=')?.trim_ascii()
        }
        _ => rest,
    };
    Some(url.trim_matches(['\'', '"']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(html: &str) -> Vec<(Kind, String)> {
        read(html).links
    }

    #[test]
    fn each_link_of_a_page_is_found_once_and_in_order() {
        let html = r##"<link rel=stylesheet href=a.css><link rel="preconnect" href="//b.example">
            <script src='c.js'></script><A HREF=" d.html#x ">d</A><a href="d.html#x">again</a>
            <img src=e.png srcset="f.png 1x, g,1.png 2x,h.png"><iframe src=i.html></iframe>
            <video poster=j.png src=k.mp4></video><a href>empty</a><a name=l>anchor</a>"##;
        let urls: Vec<_> = links(html).into_iter().map(|(_, url)| url).collect();
        let expected = "a.css c.js d.html#x f.png g,1.png h.png e.png i.html j.png k.mp4";
        assert_eq!(urls.join(" "), expected);
    }

    #[test]
    fn scripts_and_comments_contain_no_links() {
        let html = r#"<script>"<a href=no.html>"</script><!-- <a href=no.html> --><style>a{}</style>
            <a href=yes.html></a></a href=no.html>"#;
        assert_eq!(links(html), [(Kind::Page, "yes.html".to_owned())]);
    }

    #[test]
    fn a_refresh_is_read_in_each_of_its_spellings() {
        for content in [
            "0;URL=next.html",
            "3; url = 'next.html'",
            "0,next.html",
            "0; Url=\"next.html\"",
        ] {
            let html = format!("<meta http-equiv=Refresh content='{content}'>");
            let html = match content.contains('\'') {
                true => format!("<meta http-equiv=Refresh content=\"{content}\">"),
                false => html,
            };
            assert_eq!(
                links(&html),
                [(Kind::Refresh, "next.html".to_owned())],
                "{content}"
            );
        }
        assert_eq!(links("<meta http-equiv=refresh content=30>"), []);
        assert_eq!(links("<meta name=x content='0;URL=next.html'>"), []);
    }

    #[test]
    fn the_first_base_counts() {
        let page = read("<base target=_top><base href=/a/><base href=/b/>");
        assert_eq!(page.base.as_deref(), Some("/a/"));
    }

    #[test]
    fn fragments_are_found_as_written_and_decoded() {
        let html = "<p id='impl-From%3CT%3E'><p id='über uns'><a name=old></a><p name=no id=''>";
        let anchors = read(html).anchors;
        for good in [
            "",
            "top",
            "TOP",
            "impl-From%3CT%3E",
            "%C3%BCber%20uns",
            "old",
            ":~:text=x",
        ] {
            assert!(anchors.resolves(good), "{good}");
        }
        for bad in ["no", "impl-From<T>", "Old", "%FF", "old-no"] {
            assert!(!anchors.resolves(bad), "{bad}");
        }
    }

    #[test]
    fn a_range_of_lines_needs_both_its_lines() {
        let anchors = read("<a href=#9 id=9>9</a><a id=12>12</a><a id=07>x</a>").anchors;
        for good in ["9", "12", "9-12", "07"] {
            assert!(anchors.resolves(good), "{good}");
        }
        for bad in ["7", "10", "9-13", "9-", "-12", "+9", "9-12-12", "07-9"] {
            assert!(!anchors.resolves(bad), "{bad}");
        }
    }

    #[test]
    fn a_page_that_is_cut_off_is_read_as_far_as_it_goes() {
        assert_eq!(
            links("<a href=one.html></a><a href='two.ht"),
            [(Kind::Page, "one.html".to_owned())]
        );
    }
}
