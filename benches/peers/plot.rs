//! The ratios as a picture.

use crate::{report::Results, svg::Svg};

/// A bar for each ratio, on a logarithmic axis: to the left of the line ours takes less than theirs.
/// The whisker is the range of all rounds, the tick what the ratio is meant to be at most.
pub fn ratios(results: &Results) -> String {
    const NAMES: f64 = 270.0;
    const ROW: f64 = 24.0;
    const OCTAVE: f64 = 62.0;
    const TOP: f64 = 44.0;
    // From 1/32 to 8.
    let x = |ratio: f64| NAMES + OCTAVE * (ratio.log2().clamp(-5.0, 3.0) + 5.0);
    let bottom = TOP + ROW * results.len() as f64;

    let mut svg = Svg::new(x(8.0) + 70.0, bottom + 20.0);
    for power in -5..=3 {
        let ratio = 2f64.powi(power);
        let label = match power < 0 {
            true => format!("1/{}", 2u32.pow(power.unsigned_abs())),
            false => ratio.to_string(),
        };
        let colour = if power == 0 { "#333" } else { "#ddd" };
        svg.line((x(ratio), TOP - 6.0), (x(ratio), bottom), colour, 1.0);
        svg.text((x(ratio), TOP - 12.0), "middle", &label);
    }
    for (row, (contest, measured)) in results.iter().enumerate() {
        let y = TOP + ROW * (row as f64 + 0.5);
        let ratio = measured.ratio();
        let (low, high) = measured.range();
        let colour = match contest.at_most {
            Some(at_most) if ratio > at_most => "#c2632b",
            _ => "#3b78b5",
        };
        let (left, right) = (x(ratio).min(x(1.0)), x(ratio).max(x(1.0)));
        svg.text((NAMES - 12.0, y + 4.0), "end", contest.name);
        svg.rect((left, y - 7.0), (right - left, 14.0), colour);
        svg.line((x(low), y), (x(high), y), "#222", 1.5);
        if let Some(at_most) = contest.at_most {
            svg.line((x(at_most), y - 10.0), (x(at_most), y + 10.0), "#111", 2.5);
        }
        svg.text((x(8.0) + 14.0, y + 4.0), "start", &format!("{ratio:.2}"));
    }
    svg.finish()
}
