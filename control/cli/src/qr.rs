//! QR codes for terminals: two modules a character, by half blocks.

use crate::args::When;
use crate::term;
use qrcode::{Color, EcLevel, QrCode};
use std::io::{self, IsTerminal as _};

/// Light modules around the code (ISO/IEC 18004 section 6.3.8 asks for four).
const QUIET: usize = 4;

/// Whether a code is wanted where standard output goes.
pub fn wanted(when: When) -> bool {
    match when {
        When::Auto => io::stdout().is_terminal(),
        When::Always => true,
        When::Never => false,
    }
}

/// The text as a QR code, or `None` where it is too long for one. With colours it is black on white whatever the
/// terminal's own are; without, light modules are drawn, as suits a dark terminal.
pub fn render(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = code.width();
    let side = width + 2 * QUIET;
    let modules = code.into_colors();
    let light = |x: usize, y: usize| {
        let inside = |v: usize| v.checked_sub(QUIET).filter(|v| *v < width);
        // Beyond the last row of an odd height there is nothing to draw.
        y < side
            && !matches!((inside(x), inside(y)), (Some(x), Some(y)) if modules[y * width + x] == Color::Dark)
    };
    let colours = term::colours();
    let mut out = String::new();
    for y in (0..side).step_by(2) {
        if colours {
            out.push_str("\x1b[97;40m");
        }
        for x in 0..side {
            out.push(match (light(x, y), light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push_str(if colours { "\x1b[0m\n" } else { "\n" });
    }
    Some(out)
}
