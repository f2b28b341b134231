//! One line on the terminal that says how far long work is; elsewhere nothing.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(200);

/// The line, while there is one.
#[derive(Debug)]
pub struct ProgressLine {
    /// What the work goes through.
    unit: &'static str,
    first: u32,
    start: Instant,
    shown: Option<Instant>,
    visible: bool,
}

impl ProgressLine {
    /// Work that begins at the block `first`, shown if the standard error is a terminal.
    pub fn on_terminal(first: u32) -> Self {
        Self {
            unit: "block",
            first,
            start: Instant::now(),
            shown: None,
            visible: io::stderr().is_terminal(),
        }
    }

    /// The same for work that goes through zone files.
    pub fn of_zonefiles() -> Self {
        Self {
            unit: "zone file",
            ..Self::on_terminal(1)
        }
    }

    /// The same, but also hidden where the standard output is a terminal, because lines are printed there.
    pub fn beside_lines(first: u32) -> Self {
        let mut progress = Self::on_terminal(first);
        progress.visible &= !io::stdout().is_terminal();
        progress
    }

    /// The block `height` is done, `last` will be the last one; or so many zone files are done of so many.
    pub fn reached(&mut self, height: u32, last: u32) {
        let now = Instant::now();
        if !self.visible || self.shown.is_some_and(|shown| now < shown + EVERY) {
            return;
        }
        self.shown = Some(now);
        let line = line(self.unit, self.first, height, last, now - self.start);
        // A line that cannot be shown is no trouble.
        let _ = write!(io::stderr(), "\r{line}\x1b[K");
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(unit: &str, first: u32, height: u32, last: u32, elapsed: Duration) -> String {
    let done = height.saturating_sub(first).saturating_add(1);
    let rate = f64::from(done) / elapsed.as_secs_f64().max(0.001);
    let left = f64::from(last.saturating_sub(height)) / rate;
    format!("{unit} {height} of {last}, {rate:.0} {unit}s/s, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_rate_and_time_left() {
        let text = line("block", 101, 200, 400, Duration::from_secs(2));
        assert_eq!(text, "block 200 of 400, 50 blocks/s, 4 s left");
    }
}
