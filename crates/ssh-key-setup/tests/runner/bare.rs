//! Without a host, as the old script was run.

use common::testing::Sandbox;

#[must_use]
#[track_caller]
fn tool(sandbox: &Sandbox, arguments: &[&str]) -> common::testing::Ran {
    sandbox.run(sandbox.command(env!("CARGO_BIN_EXE_ssh-key-setup")).args(arguments))
}

#[test]
fn bare_in_a_home_with_nothing_set_up_makes_the_key_and_says_what_is_next() {
    let sandbox = Sandbox::new();
    let first = tool(&sandbox, &[]).expect_success();
    let public = sandbox.read("data/backrest/ssh/id_ed25519.pub");
    assert!(
        first.stdout.contains(public.trim()) && first.stdout.contains("ssh-key-setup nas"),
        "{}",
        first.everything()
    );
    let tree = sandbox.tree();
    assert!(tree.contains("data/backrest/ssh 40700\n") && tree.contains("ssh/id_ed25519 100600 "), "{tree}");
    let second = tool(&sandbox, &[]).expect_success();
    assert_eq!(second.stdout, first.stdout.replace(", made)", ", kept)"));
    assert_eq!(sandbox.read("data/backrest/ssh/id_ed25519.pub"), public);
}

#[test]
fn a_host_that_would_be_an_option_is_refused() {
    let sandbox = Sandbox::new();
    for host in ["-oProxyCommand=touch x", "a b", "a\"b", "", "a;b"] {
        let ran = tool(&sandbox, &["--", host]).expect_code(1);
        assert!(
            ran.stderr.contains("not a host name") && ran.stderr.contains("hint: "),
            "{}",
            ran.everything()
        );
    }
    assert!(!sandbox.tree().contains("id_ed25519"));
}

#[test]
fn what_needs_a_host_says_so_where_none_is_set_up() {
    let sandbox = Sandbox::new();
    let rotate = tool(&sandbox, &["--rotate"]).expect_code(1);
    assert!(rotate.stderr.contains("rotate: no host is set up\nhint: "), "{}", rotate.everything());
    let check = tool(&sandbox, &["--check"]).expect_code(1);
    assert!(check.stderr.contains("check: no host is set up\nhint: "), "{}", check.everything());
    tool(&sandbox, &["--remove"]).expect_code(2);
}

#[test]
fn no_private_key_is_ever_printed() {
    let sandbox = Sandbox::new();
    let ran = tool(&sandbox, &[]).expect_success();
    let private = sandbox.read("data/backrest/ssh/id_ed25519");
    for line in private.lines().filter(|line| line.len() > 20) {
        assert!(!ran.stdout.contains(line) && !ran.stderr.contains(line));
    }
}

#[test]
fn a_file_in_the_keys_place_is_kept_and_named() {
    let sandbox = Sandbox::new();
    sandbox.write("data/backrest/ssh/id_ed25519", "my notes\n");
    let ran = tool(&sandbox, &[]).expect_code(1);
    assert!(ran.stderr.contains("data/backrest/ssh/id_ed25519"), "{}", ran.everything());
    assert_eq!(sandbox.read("data/backrest/ssh/id_ed25519"), "my notes\n");
}
