//! The installed completions in the shells themselves: each shell finds them in its folder and offers what a person may type.

use common::testing::Sandbox;

/// Words typed after a prompt, one that is offered then, and one that is not.
const CASES: [(&str, &str, &str); 6] = [
    ("build-ignore --exp", "--explain", "--output"),
    ("create-backrest-pipe ver", "verify", "--supervisor"),
    ("new-container --database m", "mariadb", "my folder"),
    ("ssh-key-setup --identity my", "my file", "--identity"),
    ("build-ignore --data-root my", "my folder", "my file"),
    ("create-backrest-pipe verify --plan my", "", "my file"),
];

/// Checks them after an installation into the home of `sandbox`.
#[track_caller]
pub(crate) fn work_in_every_shell(sandbox: &Sandbox) {
    sandbox.write("work/my file", "");
    sandbox.write("work/my folder/file", "");
    for (typed, offered, other) in CASES {
        for (shell, offers) in
            [("bash", bash(sandbox, typed)), ("fish", fish(sandbox, typed)), ("zsh", zsh(sandbox, typed))]
        {
            let lines: Vec<&str> = offers.lines().map(|line| line.trim_end_matches('/')).collect();
            assert!(offered.is_empty() || lines.contains(&offered), "{shell}: {typed}: {offers}");
            assert!(!lines.contains(&other), "{shell}: {typed}: {offers}");
        }
    }
}

#[track_caller]
fn run(sandbox: &Sandbox, shell: &[&str], script: &str, typed: &str) -> String {
    let mut command = sandbox.command(shell[0]);
    command.args(&shell[1..]).args(["-c", script]).env("TYPED", typed);
    command.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path(".local/bin").display()));
    let ran = sandbox.run(command.current_dir(sandbox.path("work"))).expect_success();
    assert_eq!(ran.stderr, "", "{}: {typed}", shell[0]);
    ran.stdout
}

/// As bash-completion loads a file, and as readline calls its function; what is left to readline is asked of compgen.
#[track_caller]
fn bash(sandbox: &Sandbox, typed: &str) -> String {
    let script = r#"
shopt -s progcomp
. /usr/share/bash-completion/bash_completion
eval "COMP_WORDS=($TYPED)"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$TYPED COMP_POINT=${#TYPED}
program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
_completion_loader "$program"
compopt() { [ "$2" != plusdirs ] || mapfile -t COMPREPLY < <(compgen -d -- "$word"); }
function=$(complete -p "$program" | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
"$function" "$program" "$word" "$previous"
printf '%s\n' "${COMPREPLY[@]}"
"#;
    run(sandbox, &["bash", "--norc"], script, typed)
}

#[track_caller]
fn fish(sandbox: &Sandbox, typed: &str) -> String {
    let offers = run(sandbox, &["fish"], "complete --do-complete \"$TYPED\"", typed);
    offers.lines().map(|line| line.split('\t').next().unwrap_or_default().to_string() + "\n").collect()
}

/// In a terminal of its own, where Tab is typed; then Ctrl-X, which marks the end of what was offered.
#[track_caller]
fn zsh(sandbox: &Sandbox, typed: &str) -> String {
    let start = r#"
fpath=("$HOME/.local/share/zsh/site-functions" $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
    local -a offers
    builtin compadd -O offers "$@"
    print -rl -- $offers >>~/offers
    builtin compadd "$@"
}
mark() { print MARK >>~/offers }
zle -N mark
bindkey '^I' complete-word '^X' mark
"#;
    let script = r#"
zmodload zsh/zpty
zpty -b terminal zsh -i
zpty -w -n terminal "$TYPED"$'\t\x18'
for ((tries = 0; tries < 300; tries++)); do
    zpty -r terminal screen
    ! grep -qsx MARK ~/offers || break
    sleep 0.1
done
"#;
    sandbox.write(".zshrc", start);
    run(sandbox, &["zsh", "-f"], script, typed);
    let offers = sandbox.read("offers");
    assert!(offers.ends_with("MARK\n"), "zsh: {typed}: {offers}");
    sandbox.write("offers", "");
    offers
}
