//! A library that is loaded before the system's own and lets its calls fail; `fault.c` says which.

use std::fs;
use std::path::PathBuf;

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
