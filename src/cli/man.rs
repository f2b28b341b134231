//! `bnsd man`: a manual page for each command (man(7)).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::count::count;
use super::definitions::definitions;
use super::{CliError, Context, Exit, Result};

/// Arguments of `bnsd man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Where the pages go; it is made if it is not there.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Man {
    /// Writes the pages and lists them.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let directory = &self.directory;
        let failed = CliError::file(directory);
        fs::create_dir_all(directory).map_err(failed)?;
        let mut written = Vec::new();
        let mut commands = vec![root()];
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            written.push(write(command, directory).map_err(failed)?);
        }
        written.sort();
        let reply = serde_json::json!({ "pages": written });
        context.output.show(&reply, |page| {
            let pages = count(written.len() as u64, "page");
            page.heading(format!("{pages} in {}", directory.display()));
            let first = directory.join("bnsd.1");
            page.note(format!("Read one with `man -l {}`.", first.display()));
        })
    }
}

/// Writes the page of a command, and says where.
fn write(command: clap::Command, directory: &Path) -> io::Result<PathBuf> {
    let end = command.get_after_help().map(ToString::to_string);
    let has_subcommands = command.has_subcommands();
    let source = concat!("bnsd ", env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(command).source(source);
    let path = directory.join(page.get_filename());
    let mut file = BufWriter::new(File::create(&path)?);
    page.render_title(&mut file)?;
    page.render_name_section(&mut file)?;
    page.render_synopsis_section(&mut file)?;
    page.render_description_section(&mut file)?;
    page.render_options_section(&mut file)?;
    if has_subcommands {
        page.render_subcommands_section(&mut file)?;
    }
    file.write_all(sections(&end.unwrap_or_default()).as_bytes())?;
    file.flush()?;
    Ok(path)
}

/// What ends a help text, its lines as they stand: a heading with a colon begins a section.
fn sections(end: &str) -> String {
    let line = |line: &str| match line.strip_suffix(':') {
        Some(heading) if !line.starts_with(' ') => {
            format!(".fi\n.SH {}\n.nf\n", heading.to_uppercase())
        }
        _ => format!("\\&{}\n", line.replace('\\', "\\e").replace('-', "\\-")),
    };
    let lines: String = end.lines().map(line).collect();
    lines + ".fi\n"
}

/// All commands but `help`, whose pages would say nothing.
fn root() -> clap::Command {
    let mut root = without_help(definitions());
    root.build();
    root
}

fn without_help(command: clap::Command) -> clap::Command {
    let command = command.disable_help_subcommand(true);
    command.mut_subcommands(without_help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_as_they_are() {
        let text = "Examples:\n  bnsd serve --log x  # .\\\n\nExit codes:\n.x\n";
        let expected = ".fi\n.SH EXAMPLES\n.nf\n\\&  bnsd serve \\-\\-log x  # .\\e\n\\&\n\
                        .fi\n.SH EXIT CODES\n.nf\n\\&.x\n.fi\n";
        assert_eq!(sections(text), expected);
    }
}
