//! `cachectl completion` and `cachectl man`: what shells and man read, made from the commands as
//! they are declared.

use std::{fs, path::Path};

use clap::CommandFactory;
use clap_complete::shells;
use clap_mangen::Man;
use serde_json::json;

use crate::{
    Answer,
    cli::{Cli, Shell},
    failure::{Code, Failure},
    print::counted,
};

pub(crate) fn completion(shell: Shell) -> Answer {
    let mut command = Cli::command();
    let mut script = Vec::new();
    let name = "cachectl";
    match shell {
        Shell::Bash => clap_complete::generate(shells::Bash, &mut command, name, &mut script),
        Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, name, &mut script),
        Shell::Fish => clap_complete::generate(shells::Fish, &mut command, name, &mut script),
    }
    let script = String::from_utf8(script).expect("our names and texts are UTF-8");
    let data = json!({ "script": script });
    Answer::new(script, &data)
}

pub(crate) fn man(folder: Option<&Path>) -> Result<Answer, Failure> {
    // `help` has nothing to say that the pages do not.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = folder else {
        let (_, page) = page(&command);
        let data = json!({ "page": page });
        return Ok(Answer::new(page, &data));
    };
    let mut pages = Vec::new();
    collect(&command, &mut pages);
    let failed = |what: &Path, error: std::io::Error| {
        Failure::new(Code::Failed, format!("cannot write {}", what.display()))
            .why(error)
            .next("give a folder that this user may write to: cachectl man FOLDER")
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (name, page) in &pages {
        let file = folder.join(name);
        fs::write(&file, page).map_err(|error| failed(&file, error))?;
    }
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    let human = format!(
        "{} in {}; read one: man -l {}\n",
        counted(names.len() as u64, "page"),
        folder.display(),
        folder.join("cachectl.1").display(),
    );
    let data = json!({ "folder": folder.display().to_string(), "pages": names });
    Ok(Answer::new(human, &data))
}

/// The page of a command, and those of all below it.
fn collect(command: &clap::Command, pages: &mut Vec<(String, String)>) {
    pages.push(page(command));
    for below in command.get_subcommands() {
        collect(below, pages);
    }
}

/// A page's file name and text.
fn page(command: &clap::Command) -> (String, String) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let source = concat!("cachectl ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(&name).manual("Weir").source(source);
    let mut page = Vec::new();
    man.render(&mut page).expect("a Vec takes all");
    let page = String::from_utf8(page).expect("our names and texts are UTF-8");
    // What stands after the help of the main command, by the name that pages have for it.
    let page = page.replacen(".SH EXTRA", ".SH \"EXIT STATUS\"", 1);
    (format!("{name}.1"), page)
}
