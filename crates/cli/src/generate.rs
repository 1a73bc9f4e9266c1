//! `tviews generate`: man pages, and completions for shells, from the command line as it is defined.
//!
//! Invariant: there is a page for each sub-command and a file for each shell, where packages put them below a prefix. Called by main, for
//! `make cli` and packages.

use crate::arguments::{Arguments, Generate};
use crate::outcome::Outcome;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::path::Path;

/// Where shells look for completions.
const SHELLS: [(Shell, &str, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions", "tviews"),
    (Shell::Zsh, "share/zsh/site-functions", "_tviews"),
    (Shell::Fish, "share/fish/vendor_completions.d", "tviews.fish"),
];

pub fn run(arguments: &Generate) -> Result<Outcome> {
    let mut command = Arguments::command();
    command.build();
    for (shell, directory, name) in SHELLS {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command, "tviews", &mut text);
        write(&arguments.prefix.join(directory), name, &text)?;
    }
    let manual = arguments.prefix.join("share/man/man1");
    let written = fs::create_dir_all(&manual).and_then(|()| clap_mangen::generate_to(command, &manual));
    written.with_context(|| format!("the man pages cannot be written to {}", manual.display()))?;
    Ok(Outcome::Good)
}

fn write(directory: &Path, name: &str, text: &[u8]) -> Result<()> {
    let path = directory.join(name);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, text))
        .with_context(|| format!("{} cannot be written", path.display()))
}
