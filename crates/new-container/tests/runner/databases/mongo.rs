//! MongoDB, which Debian does not have: programs of the test replace its own, and show what they were passed.

use std::fs;

use super::Service;

/// Keeps its arguments, its configuration and its input.
const RESTORE: &str = "#!/bin/sh\necho \"$*\" > \"$HOME/arguments\"\ncp \"${1#--config=}\" \"$HOME/configuration\"\n\
    gunzip > \"$HOME/restored\"\n";

#[test]
fn what_mongodump_wrote_reaches_mongorestore_with_the_password_in_no_argument() {
    let service = Service::new("mongo");
    let (user, password) = (service.env("DB_USER"), service.env("DB_PASSWORD"));
    service.container(&[("MONGO_INITDB_ROOT_USERNAME", &user), ("MONGO_INITDB_ROOT_PASSWORD", &password)]);
    service.with_program("mongodump", "#!/bin/sh\n{ echo \"$*\"; cat /dev/stdin; } | gzip\n");
    let ran = service.prepare(&[]).expect_success();
    assert!(ran.stdout.ends_with("\n1 ok\n"), "{}", ran.everything());
    service.with_program("mongorestore", RESTORE);
    service.restore("mongorestore");
    let configuration = format!("password: \"{password}\"\n");
    let restored = service.sandbox.read("restored");
    let (arguments, rest) = restored.split_once('\n').expect("two lines");
    assert!(!arguments.contains(&password) && rest == configuration, "{restored}");
    assert_eq!(service.sandbox.read("configuration"), configuration);
    let arguments = service.sandbox.read("arguments");
    assert!(arguments.contains(&user) && !arguments.contains(&password), "{arguments}");
    assert!(fs::metadata("/tmp/restore.yaml").is_err(), "the password is removed");
}
