//! As much of SVG as the plots need.

use std::fmt::Write;

/// A picture with a white ground, so that it can be read on dark pages too.
pub struct Svg(String);

type Point = (f64, f64);

impl Svg {
    pub fn new(width: f64, height: f64) -> Svg {
        let mut svg = Svg(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n"
        ));
        svg.rect((0.0, 0.0), (width, height), "#fff");
        svg
    }

    pub fn rect(&mut self, (x, y): Point, (width, height): Point, fill: &str) {
        writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{fill}\"/>"
        )
        .unwrap();
    }

    pub fn line(&mut self, from: Point, to: Point, colour: &str, width: f64) {
        writeln!(
            self.0,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" \
             stroke-width=\"{width}\"/>",
            from.0, from.1, to.0, to.1
        )
        .unwrap();
    }

    /// `anchor` is the end of the text that stands at the point: start, middle or end.
    pub fn text(&mut self, (x, y): Point, anchor: &str, text: &str) {
        writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222\">{text}</text>"
        )
        .unwrap();
    }

    pub fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}
