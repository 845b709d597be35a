//! Which host keys end up in the folder, and what is refused.

use std::fs;

use crate::world::{World, address};

const NAS: &str = "Host nas\n  HostName 127.0.0.1\n  Port 2200\n  User bash\n";

#[track_caller]
fn known_in_folder(world: &World) -> String {
    world.text(&world.folder("known_hosts"))
}

#[test]
fn hashed_names_and_all_trusted_types_are_carried_over_in_plain_text() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "");
    let ed25519 = world.host_key(2200, "ed25519");
    world.own_ssh(NAS, &format!("{} {ed25519}\n", address(2200)));
    world.run(world.command("ssh-keygen").args(["-H", "-f", "/root/.ssh/known_hosts"])).expect_success();
    let hashed = world.text(&world.root(".ssh/known_hosts"));
    assert!(hashed.starts_with("|1|"), "{hashed}");
    fs::write(
        world.root(".ssh/known_hosts"),
        format!("{hashed}{} ssh-rsa AAAAB3NzaC1yc2E=\n", address(2200)),
    )
    .unwrap();
    world.tool(&["nas"]).expect_success();
    let known = known_in_folder(&world);
    assert!(known.contains(&format!("{} {ed25519}\n", address(2200))), "{known}");
    assert!(known.contains("ssh-rsa AAAAB3NzaC1yc2E="), "{known}");
}

#[test]
fn a_server_with_an_rsa_host_key_only_works() {
    let world = World::new();
    let _server = world.server(2200, "rsa", "");
    world.trust("nas", 2200, "bash", "rsa");
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("RSA SHA256:"), "{}", ran.everything());
}

#[test]
fn a_changed_host_key_stops_everything() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "");
    world.keygen("/srv/other");
    let other = world.text(&world.srv("other.pub"));
    world.own_ssh(NAS, &format!("{} {other}", address(2200)));
    let before = world.text(&world.authorized_keys("bash"));
    for arguments in [&["nas"][..], &["nas", "--accept-new-host-key"]] {
        let ran = world.tool(arguments).expect_code(1);
        assert!(ran.stderr.contains("its host key is not the trusted one"), "{}", ran.everything());
        assert!(
            ran.stderr.contains("hint: ") && ran.stderr.contains("ssh-keygen -R"),
            "{}",
            ran.everything()
        );
    }
    assert_eq!(world.text(&world.authorized_keys("bash")), before);
    assert!(!world.folder("config").exists());
}

#[test]
fn another_type_than_the_trusted_one_is_not_a_new_host() {
    let world = World::new();
    let _server = world.server(2200, "rsa", "");
    world.keygen("/srv/other");
    let other = world.text(&world.srv("other.pub"));
    world.own_ssh(NAS, &format!("{} {other}", address(2200)));
    let ran = world.tool(&["nas", "--accept-new-host-key"]).expect_code(1);
    assert!(ran.stderr.contains("host key"), "{}", ran.everything());
}

#[test]
fn an_unknown_host_is_shown_and_has_to_be_confirmed() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "");
    world.own_ssh(NAS, "");
    for input in ["", "no\n", "y\n"] {
        let ran = world.tool_with_input(&["nas"], input).expect_code(1);
        assert!(
            ran.stderr.contains("SHA256:") && ran.stderr.contains("+--[ED25519 256]--+"),
            "{}",
            ran.everything()
        );
        assert!(ran.stderr.contains("not confirmed"), "{}", ran.everything());
        assert!(!world.folder("known_hosts").exists());
    }
    let ran = world.tool_with_input(&["nas"], "yes\n").expect_success();
    assert!(ran.stdout.contains("(new, confirmed)"), "{}", ran.everything());
    assert!(known_in_folder(&world).contains(&world.host_key(2200, "ed25519")));
    assert_eq!(world.text(&world.root(".ssh/known_hosts")), "", "the user's own file is not written");
    // Known from now on, without a question.
    let ran = world.tool(&["nas"]).expect_success();
    assert!(ran.stdout.contains("from the folder's known_hosts"), "{}", ran.everything());
}

#[test]
fn a_new_host_is_known_by_all_its_keys_once_one_is_confirmed() {
    let world = World::new();
    let (server, _only_for_its_key) = (world.server(2200, "rsa", ""), world.server(2201, "ecdsa", ""));
    world.stop(server);
    let more = "HostKey /srv/sshd-2200-key-rsa\nHostKey /srv/sshd-2201-key-ecdsa";
    let server = world.server(2200, "ed25519", more);
    world.own_ssh(NAS, "");
    let ran = world.tool_with_input(&["nas"], "yes\n").expect_success();
    assert_eq!(ran.stderr.matches("+--[").count(), 1, "one key is asked for: {}", ran.everything());
    assert_eq!(ran.stdout.matches("(proved under the confirmed one)").count(), 2, "{}", ran.everything());
    let known = known_in_folder(&world);
    let keys =
        [(2200, "ed25519"), (2200, "rsa"), (2201, "ecdsa")].map(|(port, kind)| world.host_key(port, kind));
    for key in &keys {
        assert!(known.contains(&format!("{} {key}\n", address(2200))), "{known}");
    }
    let again = world.tool(&["nas"]).expect_success();
    assert!(again.stdout.contains("unchanged"), "{}", again.everything());
    // The server may lose the key that was confirmed.
    world.stop(server);
    let _server = world.server(2200, "rsa", "");
    world.tool(&["nas"]).expect_success();
}

#[test]
fn nothing_is_added_to_what_the_users_own_known_hosts_trusts() {
    let world = World::new();
    let server = world.server(2200, "rsa", "");
    world.stop(server);
    let _server = world.server(2200, "ed25519", "HostKey /srv/sshd-2200-key-rsa");
    world.trust("nas", 2200, "bash", "ed25519");
    world.tool(&["nas"]).expect_success();
    assert!(!known_in_folder(&world).contains("ssh-rsa"), "{}", known_in_folder(&world));
}

#[test]
fn an_unknown_host_can_be_accepted_by_a_flag() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "");
    world.own_ssh(NAS, "");
    world.tool(&["nas", "--accept-new-host-key"]).expect_success();
}

#[test]
fn a_revoked_key_is_refused_even_when_new_ones_are_accepted() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "");
    world.own_ssh(NAS, &format!("@revoked * {}\n", world.host_key(2200, "ed25519")));
    let ran = world.tool(&["nas", "--accept-new-host-key"]).expect_code(1);
    assert!(ran.stderr.contains("revoked"), "{}", ran.everything());
}

#[test]
fn a_certificate_authority_is_carried_over() {
    let world = World::new();
    world.keygen("/srv/ca");
    let server = world.server(2200, "ed25519", "");
    world.stop(server);
    let key = "/srv/sshd-2200-key-ed25519";
    let mut sign = world.command("ssh-keygen");
    world
        .run(sign.args(["-q", "-s", "/srv/ca", "-h", "-I", "nas", "-n", "127.0.0.1", &format!("{key}.pub")]))
        .expect_success();
    let _server = world.server(2200, "ed25519", &format!("HostCertificate {key}-cert.pub"));
    let authority = world.text(&world.srv("ca.pub"));
    world.own_ssh(NAS, &format!("@cert-authority [127.0.0.*]:2200 {authority}"));
    world.tool(&["nas"]).expect_success();
    let known = known_in_folder(&world);
    assert!(known.contains(&format!("@cert-authority {} ssh-ed25519 ", address(2200))), "{known}");
}

#[test]
fn a_host_key_alias_is_kept() {
    let world = World::new();
    let _server = world.server(2200, "ed25519", "");
    world.own_ssh(
        &format!("{NAS}  HostKeyAlias the-nas\n"),
        &format!("the-nas {}\n", world.host_key(2200, "ed25519")),
    );
    world.tool(&["nas"]).expect_success();
    assert!(world.text(&world.folder("config")).contains("HostKeyAlias the-nas"));
    assert!(known_in_folder(&world).contains("\nthe-nas ssh-ed25519 "));
}
