//! The terminal at which somebody sits: what it does with keys, and that it is left as it was found (termios(3)).

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

/// Where a process reaches its terminal, whatever its input and output are.
pub const PATH: &str = "/dev/tty";
/// What Ctrl-C types where it sends no signal.
pub const INTERRUPT: u8 = 3;

/// What becomes of keys that were pressed before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// They count.
    Keep,
    /// They are forgotten, so that nothing that was meant for somebody else is taken.
    Forget,
}

/// A terminal that does not echo, until this is dropped. Ctrl-C is a key like others: as a signal it would end the
/// program and leave the terminal as it is.
pub struct Silent {
    descriptor: i32,
    before: libc::termios,
}

impl Silent {
    /// Changes the terminal, which has to stay open for as long as the result lives; `more` changes further settings.
    pub fn begin(
        terminal: &File,
        before: Before,
        more: impl FnOnce(&mut libc::termios),
    ) -> io::Result<Self> {
        let descriptor = terminal.as_raw_fd();
        // SAFETY: termios is a plain struct of numbers, for which zeros are valid.
        let mut found: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, and tcgetattr writes the struct that it is given.
        if unsafe { libc::tcgetattr(descriptor, &raw mut found) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut silent = found;
        silent.c_lflag &= !(libc::ECHO | libc::ISIG);
        more(&mut silent);
        let when = match before {
            Before::Keep => libc::TCSANOW,
            Before::Forget => libc::TCSAFLUSH,
        };
        // SAFETY: the descriptor is open, and tcsetattr reads the struct that it is given.
        if unsafe { libc::tcsetattr(descriptor, when, &raw const silent) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            descriptor,
            before: found,
        })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // SAFETY: as above; the terminal is still open.
        unsafe { libc::tcsetattr(self.descriptor, libc::TCSAFLUSH, &raw const self.before) };
    }
}

/// The keys of somebody who looks at a page that is shown again and again.
pub struct Keys {
    _silent: Silent, // dropped before the terminal is closed
    terminal: File,
}

impl Keys {
    /// Those of whoever started this process; `None` if nobody sits there, or the page goes elsewhere.
    pub fn of_reader() -> Option<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let terminal = OpenOptions::new().read(true).write(true).open(PATH).ok()?;
        let by_key = |settings: &mut libc::termios| {
            settings.c_lflag &= !libc::ICANON;
            settings.c_cc[libc::VMIN] = 1;
            settings.c_cc[libc::VTIME] = 0;
        };
        let silent = Silent::begin(&terminal, Before::Keep, by_key).ok()?;
        Some(Self {
            _silent: silent,
            terminal,
        })
    }

    /// Waits, and says whether somebody wants to leave: by `q`, by Ctrl-C, or because the terminal is gone.
    pub fn leave_within(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            match self.pressed(left) {
                Ok(None) => {}
                Ok(Some(key)) if !matches!(key, b'q' | b'Q' | INTERRUPT) => {}
                Ok(Some(_)) => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }

    /// The next key, if one is pressed in time.
    fn pressed(&mut self, patience: Duration) -> io::Result<Option<u8>> {
        let mut ready = libc::pollfd {
            fd: self.terminal.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let milliseconds = patience.as_millis().clamp(1, 60_000) as i32;
        // SAFETY: poll reads and writes the one struct that it is given, whose descriptor is open.
        match unsafe { libc::poll(&raw mut ready, 1, milliseconds) } {
            -1 => return Err(io::Error::last_os_error()),
            0 => return Ok(None),
            _ => {}
        }
        let mut key = [0];
        self.terminal.read_exact(&mut key)?;
        Ok(Some(key[0]))
    }
}
