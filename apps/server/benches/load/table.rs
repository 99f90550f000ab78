//! How a figure is printed: beside what it was to be, and what it replaces.

use std::fs;

use crate::client::Measured;

#[derive(Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    Under(f64),
}

pub struct Row<'a> {
    pub line: &'a str,
    pub unit: &'a str,
    pub figure: f64,
    /// Of the requests that the figure is of.
    pub measured: Option<&'a Measured>,
    pub target: Option<Target>,
    /// Of the replaced system.
    pub replaced: Option<f64>,
    pub note: String,
}

impl Row<'_> {
    pub fn print(self) {
        let latency = |part| match self.measured {
            Some(measured) if measured.count() > 0 => format!("{:.2}", measured.percentile(part)),
            _ => String::new(),
        };
        let (target, reached) = match self.target {
            None => (String::new(), String::new()),
            Some(Target::AtLeast(least)) => (format!("≥ {}", number(least)), times(self.figure / least)),
            Some(Target::Under(most)) => (format!("< {}", number(most)), times(most / self.figure)),
        };
        let (replaced, gained) = match (self.replaced, self.target) {
            (None, _) => (String::new(), String::new()),
            (Some(replaced), Some(Target::Under(_))) => (number(replaced), times(replaced / self.figure)),
            (Some(replaced), _) => (number(replaced), times(self.figure / replaced)),
        };
        let Self { line, unit, figure, note, .. } = self;
        println!(
            "| {line} | {} {unit} | {} | {} | {target} | {reached} | {replaced} | {gained} | {note} |",
            number(figure),
            latency(0.5),
            latency(0.99)
        );
    }
}

/// As Markdown, so that a run can be kept as it is. A ratio above 1 is better than what it is compared with.
pub fn head() {
    println!("load average before: {}", load_average());
    println!("| line | figure | p50 ms | p99 ms | target | of target | replaced | gain | note |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
}

pub fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

pub fn number(figure: f64) -> String {
    if figure.abs() < 100.0 {
        return format!("{figure:.1}");
    }
    let digits = format!("{figure:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
