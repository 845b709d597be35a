//! The alias `dn`, for the start file of a shell.

use std::path::Path;

use anyhow::{Result, anyhow};

use crate::cli::Shell;

/// What to source. `program` is how the shell is to call us.
///
/// Fails if the path can't be written in a shell's words.
pub(crate) fn text(shell: Shell, program: &Path) -> Result<String> {
    let program =
        program.to_str().ok_or_else(|| anyhow!("write the alias: the path of new-container is not UTF-8"))?;
    let word = shlex::try_quote(program)?;
    // The alias is a word of a word: what its text is made of is quoted once more.
    let alias = match shell {
        Shell::Bash | Shell::Zsh => format!("alias dn={}", shlex::try_quote(&word)?),
        Shell::Fish => format!("alias dn {}", fish_word(&fish_word(program))),
    };
    let directive = if shell == Shell::Bash { "# shellcheck shell=bash\n" } else { "" };
    Ok(format!("{directive}# dn makes a new service: dn NAME --image IMAGE\n{alias}\n"))
}

/// In fish's single quotes only `\` and `'` are special.
fn fish_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
