//! How long tests take that have two forms: `BNSD_TEST_FORM=release` runs the long ones.

/// `quick` in the everyday run, `long` in the release form.
pub fn form(quick: usize, long: usize) -> usize {
    match std::env::var("BNSD_TEST_FORM").as_deref() {
        Ok("release") => long,
        _ => quick,
    }
}
