//! `drbot import`: takes a page and a folder; writes a draft for each of its scenarios there, and nothing over
//! what is there already.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{fail, say};
use crate::parse::draft::drafts;

#[derive(Args)]
pub(super) struct Import {
    /// The page, in Markdown.
    page: PathBuf,
    /// Where the drafts go; made if it is not there.
    #[arg(long, default_value = "drafts")]
    into: PathBuf,
}

pub(super) fn run(args: &Import) -> ExitCode {
    match write(args) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(why) => fail(&why),
    }
}

fn write(args: &Import) -> Result<String, String> {
    let page = std::fs::read_to_string(&args.page).map_err(|e| format!("{}: {e}", args.page.display()))?;
    let files = drafts(&page).map_err(|why| format!("{}: {why}", args.page.display()))?;
    std::fs::create_dir_all(&args.into).map_err(|e| format!("{}: {e}", args.into.display()))?;
    let there = files.iter().map(|(name, _)| args.into.join(name)).find(|p| p.exists());
    if let Some(path) = there {
        return Err(format!(
            "{} is there already and nothing was written: choose another folder with --into",
            path.display()
        ));
    }
    for (name, text) in &files {
        let path = args.into.join(name);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(format!(
        "{} drafts and {} written to {folder}: give each a detection with a target, then `drbot check --runbooks {folder}`",
        files.len() - 1,
        crate::parse::catalog::SHARED,
        folder = args.into.display()
    ))
}
