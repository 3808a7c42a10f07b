//! The terminal itself: its modes while something is typed unseen or drawn, and as they were afterwards.

use crate::error::{Failure, Outcome};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use zeroize::Zeroizing;

/// What a terminal is where it does not say.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// The longest line that is read unseen.
const SECRET_MAX: usize = 1024;

/// The terminal that this program was started on, whatever standard input and output are.
pub struct Terminal {
    file: File,
    before: Option<Termios>,
}

impl Terminal {
    /// Opens it. There may be none.
    pub fn open() -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        Ok(Self { file, before: None })
    }

    /// Keys arrive one by one and are not shown, until the value is dropped. Ctrl-C arrives as a key too, so that nothing
    /// ends this program before the terminal is as it was.
    pub fn take_keys(&mut self) -> io::Result<()> {
        let before = tcgetattr(&self.file)?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        modes.input_modes -= InputModes::IXON;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&self.file, OptionalActions::Now, &modes)?;
        self.before.get_or_insert(before);
        Ok(())
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        match tcgetwinsize(&self.file) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            Ok(_) | Err(_) => USUAL_SIZE,
        }
    }

    /// Another handle of the same terminal, to read keys from.
    pub fn keys(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Writes all of it at once.
    pub fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.file.flush()
    }

    /// The modes to which it is to be restored.
    pub fn modes_before(&self) -> Option<Termios> {
        self.before.clone()
    }

    /// Restores such modes, by another value than the one that has changed them.
    pub fn set_modes(&self, modes: Option<&Termios>) {
        if let Some(modes) = modes {
            // Where the terminal is gone there is nothing to restore.
            let _ = tcsetattr(&self.file, OptionalActions::Now, modes);
        }
    }

    /// As it was.
    pub fn restore(&mut self) {
        let before = self.before.take();
        self.set_modes(before.as_ref());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Asks for a secret on the terminal, where it is not shown while it is typed. `option` is what gives it otherwise.
pub fn ask_secret(prompt: &str, option: &str) -> Outcome<Zeroizing<String>> {
    let no_terminal = |error| {
        Failure::Said(format!(
            "{}: there is no terminal to ask on ({error}); expected {option} FILE",
            prompt.to_lowercase()
        ))
    };
    let mut terminal = Terminal::open().map_err(no_terminal)?;
    terminal.take_keys().map_err(no_terminal)?;
    terminal.write(&format!("{prompt}: ")).map_err(Failure::Stdio)?;
    let line = secret_line(&mut terminal);
    // The line's end was not shown either.
    let _ = terminal.write("\r\n");
    line
}

fn secret_line(terminal: &mut Terminal) -> Outcome<Zeroizing<String>> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const ERASE_LINE: u8 = 21;
    let mut line = Zeroizing::new(Vec::with_capacity(SECRET_MAX));
    loop {
        let mut key = [0];
        if terminal.file.read(&mut key).map_err(Failure::Stdio)? == 0 {
            return Err(Failure::GivenUp);
        }
        match key[0] {
            b'\r' | b'\n' => break,
            INTERRUPT | END => return Err(Failure::GivenUp),
            8 | 127 => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            ERASE_LINE => line.clear(),
            key if line.len() < SECRET_MAX => line.push(key),
            _ => {}
        }
    }
    let text = std::str::from_utf8(&line).map_err(|error| Failure::Stdio(io::Error::other(error)))?;
    Ok(Zeroizing::new(text.to_owned()))
}
