//! What this machine is and what the process took of it, for people to read. Nothing is decided by it.

use std::fs;

/// The name of the processor, where the system tells it.
pub fn processor() -> String {
    let name = field("/proc/cpuinfo", "model name");
    name.unwrap_or_else(|| "an unnamed processor".into())
}

/// The most memory that the process had so far, in MiB, where the system tells it.
pub fn peak_memory() -> Option<u64> {
    let peak = field("/proc/self/status", "VmHWM")?;
    let kib: u64 = peak.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1_024)
}

/// The ticks of the system's clock in a second.
const TICKS: f64 = 100.0;

/// How long the process has kept processors busy, in seconds, where the system tells it.
pub fn busy_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in brackets and may hold spaces.
    let (_, fields) = text.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    ticks.sum::<Result<f64, _>>().ok().map(|ticks| ticks / TICKS)
}

/// What stands behind a name and a colon in a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}
