//! A library that is loaded before the system's own and lets its calls fail; `fault.c` says which.

use std::fs;
use std::path::{Path, PathBuf};

use super::home::{Home, ended};

/// Builds it in a home; to be loaded with `LD_PRELOAD`.
pub fn library(home: &Home) -> PathBuf {
    let source = home.path().join("fault.c");
    let library = home.path().join("fault.so");
    fs::write(&source, include_str!("fault.c")).expect("a file");
    let (source, output) = (source.display().to_string(), library.display().to_string());
    let built = ended(&mut home.command("cc", &["-shared", "-fPIC", "-o", &output, &source]));
    assert_eq!(
        built.code, 0,
        "install a C compiler (package gcc): {built:?}"
    );
    library
}

/// How a disk refuses.
#[derive(Debug, Clone, Copy)]
pub enum Disk {
    /// It has a bad sector: one call fails (EIO).
    Bad,
    /// It is full: all calls from one on fail (ENOSPC).
    Full,
}

/// A call that changes a file and is refused.
pub struct Refusal<'a> {
    pub library: &'a Path,
    /// The directory of such files.
    pub below: &'a Path,
    /// Which of these calls, from 1 on; none if it is 0.
    pub call: usize,
    pub disk: Disk,
    /// A file that is made when it was refused, where the program may make one.
    pub told: &'a Path,
}

impl Refusal<'_> {
    /// What the program has to find in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAULT_AT", format!("{}/", self.below.display())),
            ("FAULT_FAIL", self.call.to_string()),
            ("FAULT_TOLD", self.told.display().to_string()),
        ];
        variables.extend(match self.disk {
            Disk::Bad => vec![("FAULT_ERROR", "5".to_owned())],
            Disk::Full => vec![
                ("FAULT_ERROR", "28".to_owned()),
                ("FAULT_ON", "1".to_owned()),
            ],
        });
        variables
    }
}
