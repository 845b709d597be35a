//! What the other tools find, asked as programs: scripts that would be refused, services that are still stopped, data
//! that is in no backup, and copies of the old scripts that still run.

use std::path::PathBuf;

use common::contract::coverage::{Coverage, Gap};
use common::contract::picture::Picture;
use common::contract::services::{Script, Services};
use common::contract::status::{Check, CheckState, Fix};
use common::contract::trouble::Trouble;
use common::exit::one_line;
use common::paths;
use common::settings::Settings;
use common::text::{count, escape, escape_path};
use common::trust::Trust;

use crate::crontab::Crontab;
use crate::hooks::reading::OLD_SCRIPTS;
use crate::places::OLD_LISTENER;
use crate::tool::ask;

/// The old script that made the FIFO and started the old listener.
const OLD_SET_UP: &str = "create-backrest-pipe.sh";
/// Of one kind no more lines than these are shown.
const MOST: usize = 8;

const SCRIPTS: &str = "scripts";

/// Scripts that would be refused or skipped, what the settings trust, and services that are still stopped.
pub(super) fn scripts(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    let fix = Fix::ours("pre-backup-actions --after");
    match Trouble::load(&settings.layout().actions_trouble()) {
        Ok(trouble) => checks.extend(trouble.down_line().map(|down| Check::bad("services", down, fix))),
        Err(error) => checks.push(Check::unknown("services", one_line(&error), fix)),
    }
    let found: Services = match ask(settings, "pre-backup-actions", &["--list", "--json"]) {
        Ok(found) => found,
        Err(error) => {
            let fix = Fix::ours("see why: pre-backup-actions --list");
            checks.push(Check::unknown(SCRIPTS, format!("not checked: {}", one_line(&error)), fix));
            return checks;
        }
    };
    let mut lines: Vec<_> = scripts_of(&found).flat_map(of_script).collect();
    for folder in &found.unreadable {
        let what = format!("{}: {}", folder.folder, folder.why);
        lines.push(Check::note(SCRIPTS, what, Some(folder.hint.as_str().into())));
    }
    if lines.is_empty() {
        let what = match scripts_of(&found).count() {
            0 => "no service has a script that runs before or after a backup".into(),
            found => format!("{} would run", count(found, "script")),
        };
        lines.push(Check::good(SCRIPTS, what));
    }
    let (trust, _) = Trust::of(settings);
    let uids = trust.added_uids().iter().map(|uid| format!("user {uid}"));
    let folders = trust.folders().iter().map(|folder| format!("anyone in {}", escape_path(folder)));
    let trusted: Vec<_> = uids.chain(folders).collect();
    if !trusted.is_empty() {
        let what = format!("the settings trust scripts that were written by {}", trusted.join(", "));
        lines.push(Check::note(SCRIPTS, what, None));
    }
    checks.extend(cut(SCRIPTS, lines));
    checks
}

/// The scripts that would be refused, each with the command that fixes it: before the first night, not in it. Nothing
/// if it can't be asked, which `status` reports.
pub(crate) fn refused_scripts(settings: &Settings) -> Vec<Check> {
    let found: Services = ask(settings, "pre-backup-actions", &["--list", "--json"]).unwrap_or_default();
    let refused = scripts_of(&found).flat_map(of_script).filter(|check| check.state == CheckState::Bad);
    let as_warning = |check: Check| Check { state: CheckState::Note, ..check };
    cut(SCRIPTS, refused.map(as_warning).collect())
}

fn scripts_of(found: &Services) -> impl Iterator<Item = &Script> {
    found.services.iter().flat_map(|service| service.prepare.iter().chain(&service.after))
}

fn of_script(script: &Script) -> Vec<Check> {
    let hint = || match &script.hint {
        Some(hint) => Fix::from(hint.as_str()),
        None => Fix::ours("see pre-backup-actions --list"),
    };
    let naming = |why: &str| format!("{}: {why}", script.path);
    let bad = script.refused.iter().chain(&script.problems);
    let bad = bad.map(|why| Check::bad(SCRIPTS, naming(&format!("not run: {why}")), hint()));
    let mut checks: Vec<_> = bad.collect();
    let notes = script.skipped.iter().chain(&script.warnings);
    checks.extend(notes.map(|why| Check::note(SCRIPTS, naming(why), script.hint.clone().map(Fix::from))));
    checks
}

/// What no backup holds, or holds in a form that may not be restored.
pub(super) fn coverage(settings: &Settings) -> Vec<Check> {
    let name = "coverage";
    let found: Coverage = match ask(settings, "build-ignore", &["--coverage", "--json"]) {
        Ok(found) => found,
        Err(error) => {
            let fix = Fix::ours("see why: build-ignore --coverage");
            return vec![Check::unknown(name, format!("not checked: {}", one_line(&error)), fix)];
        }
    };
    let mut checks = Vec::new();
    let picture = Picture::load(&settings.layout().ignore_picture()).and_then(|picture| picture.line());
    checks.extend(picture.map(|line| Check::note(name, line, Some(Fix::ours("build-ignore --report")))));
    for kind in found.gaps.chunk_by(|one, other| one.kind == other.kind) {
        checks.extend(cut(name, kind.iter().map(|gap| of_gap(name, gap)).collect()));
    }
    let held = found.held_back.iter().map(|held| {
        let what = format!(
            "{}:{}: the rule {} would newly leave out files that are backed up now; it is held back until you agree",
            held.file, held.line, held.rule
        );
        let keep = match &held.instead {
            Some(instead) => format!("write {instead}"),
            None => "remove the rule".into(),
        };
        let fix = format!("to keep them {keep}; to agree: build-ignore --adopt");
        Check::note(name, what, Some(Fix::Ours(fix)))
    });
    checks.extend(cut(name, held.collect()));
    if checks.is_empty() {
        checks.push(Check::good(name, "no data of a service is outside the backup"));
    }
    checks
}

fn of_gap(name: &str, gap: &Gap) -> Check {
    let leads = gap.leads_to.as_ref().map(|to| format!(" → {to}")).unwrap_or_default();
    let what = format!("{}{leads}: {}", gap.path, gap.what);
    match (gap.kind.is_fault(), &gap.hint) {
        (true, Some(hint)) => Check::bad(name, what, hint.as_str()),
        (true, None) => Check::bad(name, what, Fix::ours("build-ignore --report")),
        (false, hint) => Check::note(name, what, hint.clone().map(Fix::from)),
    }
}

fn cut(name: &str, mut checks: Vec<Check>) -> Vec<Check> {
    if checks.len() > MOST {
        let more = checks.len() - MOST;
        checks.truncate(MOST);
        checks.push(Check::note(name, format!("and {more} more"), None));
    }
    checks
}

/// Lines of the crontab that call a copy of an old script, which is not one of our programs under its old name. The
/// lines that start the old listener are those of `reboot`.
pub(super) fn old_scripts(crontab: &Crontab) -> Vec<Check> {
    let Crontab::Text(text) = crontab else { return Vec::new() };
    let calls_old = |line: &&str| {
        let is_at_boot = line.trim_start().starts_with("@reboot");
        words_of(line).iter().any(|word| is_old_script(word) && !(is_at_boot && word.ends_with(OLD_LISTENER)))
    };
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#')).filter(calls_old);
    let check = |line: &str| {
        let line = escape(line.as_bytes());
        let what = format!("your crontab calls an old script, which works in the old way: {line}");
        Check::bad("crontab", what, "call the program of that job instead: crontab -e")
    };
    lines.map(check).collect()
}

/// The words of a shell's text, and of the text that `sh -c` is called with.
fn words_of(text: &str) -> Vec<String> {
    let bare = || text.split_whitespace().map(|word| word.replace(['\'', '"'], "")).collect();
    let words = shlex::split(text).unwrap_or_else(bare);
    let mut all = Vec::new();
    for (number, word) in words.iter().enumerate() {
        let is_text = number > 0 && words[number - 1].starts_with('-') && words[number - 1].ends_with('c');
        match is_text {
            true => all.extend(words_of(word)),
            false => all.extend(word.split([';', '&', '|', '(', ')', '`', '%']).map(String::from)),
        }
    }
    all
}

fn is_old_script(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default();
    if !OLD_SCRIPTS.contains(&name) && name != OLD_SET_UP {
        return false;
    }
    // An installation has these names for our programs as well: a symlink, or a hard link to a program.
    let is_program = |path: PathBuf| {
        let start = std::fs::canonicalize(path).and_then(|real| {
            let mut start = [0; 4];
            let mut file = common::regular_file::open(&real)?;
            std::io::Read::read_exact(&mut file, &mut start).map(|()| start)
        });
        start.is_ok_and(|start| start == *b"\x7fELF")
    };
    let home = ["~/", "$HOME/", "${HOME}/"].iter().find_map(|home| word.strip_prefix(home));
    let path = std::env::var_os("PATH").unwrap_or_default();
    !match home {
        Some(below) => paths::home().is_ok_and(|home| is_program(home.join(below))),
        None if name == word => std::env::split_paths(&path).any(|folder| is_program(folder.join(name))),
        None => is_program(word.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_script_is_an_old_script() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("build-ignorefile.sh");
        let line = format!("0 3 * * * {} >/dev/null\n", script.display());
        let found = |text: &str| old_scripts(&Crontab::Text(text.into())).len();
        fs::write(&script, "#!/bin/bash\n").unwrap();
        assert_eq!(found(&line), 1);
        // What starts the old listener is another matter.
        let listener = folder.path().join(OLD_LISTENER);
        assert_eq!(found(&format!("# {line}\n@reboot {}\n0 3 * * * /bin/true\n", listener.display())), 0);
        for form in [
            "@daily SCRIPT",
            "@reboot sleep 9 && SCRIPT",
            "0 3 * * * cd /x && ./build-ignore-file.sh",
            "0 3 * * * cd /x;./build-ignore-file.sh;true",
            "0 3 * * * bash -c 'cd /x; SCRIPT > /dev/null'",
            "0 3 * * * bash -lc \"bash 'SCRIPT'\"",
            "0 3 * * * (SCRIPT; true)",
            "0 3 * * * SCRIPT%it's for its input",
            "0 3 * * * ~/scripts/pre-backup-actions.sh",
            "@reboot \"$HOME/scripts/create-backrest-pipe.sh\"",
        ] {
            let line = form.replace("SCRIPT", &script.display().to_string());
            assert_eq!(found(&line), 1, "{line}");
        }
        assert_eq!(found("0 3 * * * logger 'build-ignorefile.sh is done'\nMAILTO=x\n"), 0);
        fs::remove_file(&script).unwrap();
        assert_eq!(found(&line), 1, "what is missing is not ours");
        symlink(std::env::current_exe().unwrap(), &script).unwrap();
        assert_eq!(found(&line), 0);
    }
}
