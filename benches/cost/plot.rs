//! Curves as a picture.

use crate::svg::Svg;

/// A named list of points, in rising order of x.
pub type Series = (&'static str, Vec<(f64, f64)>);

/// The x axis is logarithmic; the y axis begins at zero.
pub fn lines(title: &str, series: &[Series]) -> String {
    const LEFT: f64 = 60.0;
    const TOP: f64 = 44.0;
    const WIDTH: f64 = 480.0;
    const HEIGHT: f64 = 240.0;
    const COLOURS: [&str; 2] = ["#3b78b5", "#c2632b"];

    let points = || series.iter().flat_map(|(_, points)| points);
    let largest = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    let first = points().map(|point| point.0).fold(f64::MAX, f64::min);
    let last = largest(|point| point.0);
    let top = round_up(largest(|point| point.1));
    let x = |value: f64| LEFT + WIDTH * (value / first).ln() / (last / first).ln();
    let y = |value: f64| TOP + HEIGHT * (1.0 - value / top);

    let mut svg = Svg::new(LEFT + WIDTH + 110.0, TOP + HEIGHT + 40.0);
    svg.text((LEFT, 22.0), "start", title);
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        svg.line((LEFT, y(value)), (LEFT + WIDTH, y(value)), "#ddd", 1.0);
        svg.text((LEFT - 8.0, y(value) + 4.0), "end", &value.to_string());
    }
    let mut labelled = f64::MIN;
    for (value, _) in &series[0].1 {
        // Where labels would overlap, every other is left out.
        if x(*value) - labelled > 60.0 {
            labelled = x(*value);
            svg.text(
                (labelled, TOP + HEIGHT + 20.0),
                "middle",
                &thousands(*value),
            );
        }
    }
    for ((name, points), colour) in series.iter().zip(COLOURS) {
        for pair in points.windows(2) {
            let [from, to] = [pair[0], pair[1]].map(|point| (x(point.0), y(point.1)));
            svg.line(from, to, colour, 2.0);
        }
        for point in points {
            svg.rect((x(point.0) - 3.0, y(point.1) - 3.0), (6.0, 6.0), colour);
        }
        if let Some(end) = points.last() {
            svg.text((x(end.0) + 10.0, y(end.1) + 4.0), "start", name);
        }
    }
    svg.finish()
}

/// To two digits, so that the labels of quarters are short.
fn round_up(value: f64) -> f64 {
    let unit = 10f64.powf(value.log10().floor()) * 0.4;
    (value / unit).ceil() * unit
}

fn thousands(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{} M", value / 1e6),
        _ if value >= 1e3 => format!("{} k", value / 1e3),
        _ => value.to_string(),
    }
}
