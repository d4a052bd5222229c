//! One line for each result: `cost SECTION NAME VALUE`, its unit, and what it is meant to be at most.

pub struct Report {
    section: &'static str,
}

impl Report {
    pub fn new(section: &'static str) -> Report {
        Report { section }
    }

    pub fn note(&self, text: &str) {
        println!("note {} {text}", self.section);
    }

    pub fn add(&mut self, name: &str, value: f64, unit: &str) {
        println!("{} {unit}", self.line(name, value));
    }

    /// A result that has a limit.
    pub fn limited(&mut self, name: &str, value: f64, unit: &str, at_most: f64) {
        let verdict = if value <= at_most { "met" } else { "missed" };
        let line = self.line(name, value);
        println!("{line} {unit} (at most {at_most}: {verdict})");
    }

    fn line(&self, name: &str, value: f64) -> String {
        format!("cost {} {name} {value:.3}", self.section)
    }
}

/// The middle one, or the higher of the two that are.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
