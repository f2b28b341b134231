//! The terminal at which somebody sits: what it does with keys, and that it is left as it was found (termios(3)).

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// Where a process reaches its terminal, whatever its input and output are.
pub const PATH: &str = "/dev/tty";
/// What Ctrl-C types where it sends no signal.
pub const INTERRUPT: u8 = 3;

/// Longest wait for a key; then the time is looked at again.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

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
    terminal: File,
    before: Termios,
}

impl Silent {
    /// Changes the terminal; `more` changes further settings.
    pub fn begin(
        terminal: &File,
        before: Before,
        more: impl FnOnce(&mut Termios),
    ) -> io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let found = tcgetattr(&terminal)?;
        let mut silent = found.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
        more(&mut silent);
        let when = match before {
            Before::Keep => OptionalActions::Now,
            Before::Forget => OptionalActions::Flush,
        };
        tcsetattr(&terminal, when, &silent)?;
        Ok(Self {
            terminal,
            before: found,
        })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that is gone has no settings.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// The keys of somebody who looks at a page that is shown again and again.
pub struct Keys {
    _silent: Silent,
    terminal: File,
}

/// Waits, and says whether somebody wants to leave; nobody does where no keys are read.
pub fn leaves(keys: &mut Option<Keys>, patience: Duration) -> bool {
    match keys {
        Some(keys) => keys.leave_within(patience),
        None => {
            std::thread::sleep(patience);
            false
        }
    }
}

impl Keys {
    /// Those of whoever started this process; `None` if nobody sits there, or the page goes elsewhere.
    pub fn of_reader() -> Option<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let terminal = OpenOptions::new().read(true).write(true).open(PATH).ok()?;
        let by_key = |settings: &mut Termios| {
            settings.local_modes -= LocalModes::ICANON;
            settings.special_codes[SpecialCodeIndex::VMIN] = 1;
            settings.special_codes[SpecialCodeIndex::VTIME] = 0;
        };
        let silent = Silent::begin(&terminal, Before::Keep, by_key).ok()?;
        Some(Self {
            _silent: silent,
            terminal,
        })
    }

    /// Waits, and says whether somebody wants to leave: by `q`, by Ctrl-C, or because the terminal is gone.
    fn leave_within(&mut self, patience: Duration) -> bool {
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
        let patience = patience.clamp(Duration::from_millis(1), PATIENCE_MAX);
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        let mut ready = [PollFd::new(&self.terminal, PollFlags::IN)];
        if poll(&mut ready, Some(&patience))? == 0 {
            return Ok(None);
        }
        let mut key = [0];
        self.terminal.read_exact(&mut key)?;
        Ok(Some(key[0]))
    }
}
