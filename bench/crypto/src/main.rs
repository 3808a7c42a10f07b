//! Measures sealing and opening by Weir's back ends and by other libraries, interleaved in one process, in cycles of
//! the time-stamp counter for each byte. Run it with `make bench-crypto`, which keeps it on one core.
#![deny(unsafe_code)]

mod bound;
mod check;
mod contenders;
#[cfg(feature = "ipsec-mb")]
mod ipsec_mb;
mod measure;
mod report;
mod work;

use measure::Settings;
use std::process::ExitCode;

fn main() -> ExitCode {
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(wrong) => {
            eprintln!("bench-crypto: {wrong}");
            return ExitCode::FAILURE;
        }
    };
    let contenders = settings.of(contenders::all());
    if let Err(wrong) = check::all(&contenders) {
        eprintln!("bench-crypto: {wrong}");
        return ExitCode::FAILURE;
    }
    let before = bound::Core::here();
    let figures = measure::all(&settings, &contenders);
    print!("{}", report::markdown(&figures, before));
    if let Err(error) = report::write(&figures, &settings.json) {
        eprintln!("bench-crypto: {}: {error}", settings.json.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
