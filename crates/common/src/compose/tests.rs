//! Compose files as people write them.

use super::*;

#[track_caller]
fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let project = read(folder.path());
    (folder, project)
}

#[test]
fn images_ports_mounts_and_profiles_are_read() {
    let text = r#"
x-common: &common
  volumes: [ "${DATA_DIR}/common:/common:ro" ]
services:
  app:
    <<: *common
    image: ghcr.io/me/app:${TAG:-1}
    ports: ["8080:80", "127.0.0.1:53:53/udp", "9000-9002:9000-9002", "80", {target: 1, published: "443", host_ip: "::1"}]
    environment: [A=1, B]
  db:
    image: postgres:16
    profiles: [extra]
    environment: {POSTGRES_PASSWORD: secret}
    volumes:
      - ./db:/var/lib/postgresql/data
      - named:/n
      - bound:/b
      - /anonymous
      - {type: bind, source: /etc/localtime, target: /etc/localtime}
      - {type: tmpfs, target: /tmp}
volumes:
  named:
  bound: {driver_opts: {type: none, o: bind, device: /srv/bound}}
"#;
    let (folder, project) = project(&[("compose.yml", text), (".env", "DATA_DIR=/data/app\n")]);
    assert_eq!(project.problems, []);
    let app = &project.services["app"];
    assert_eq!(app.image.as_deref(), Some("ghcr.io/me/app:1"));
    let port = |address: Option<&str>, host, protocol| Port {
        address: address.map(|address| address.parse().unwrap()),
        host,
        protocol,
    };
    let expected = [
        port(None, 8080..=8080, Protocol::Tcp),
        port(Some("127.0.0.1"), 53..=53, Protocol::Udp),
        port(None, 9000..=9002, Protocol::Tcp),
        port(Some("::1"), 443..=443, Protocol::Tcp),
    ];
    assert_eq!(app.ports, expected);
    let host = |path: &str, target: &str| Mount {
        source: Source::Host(folder.path().join(path)),
        target: target.into(),
        is_read_only: false,
    };
    assert_eq!(app.mounts, [Mount { is_read_only: true, ..host("/data/app/common", "/common") }]);
    assert_eq!(app.variables, ["A", "B"]);
    let db = &project.services["db"];
    let expected = [
        host("db", "/var/lib/postgresql/data"),
        Mount { source: Source::Volume("named".into()), ..host("", "/n") },
        host("/srv/bound", "/b"),
        Mount { source: Source::Anonymous, ..host("", "/anonymous") },
        host("/etc/localtime", "/etc/localtime"),
    ];
    assert_eq!(db.mounts, expected);
    assert_eq!(
        (db.profiles.as_slice(), db.variables.as_slice()),
        (&["extra".into()][..], &["POSTGRES_PASSWORD".into()][..])
    );
}

#[test]
fn overrides_includes_and_bases_are_followed() {
    let (folder, project) = project(&[
        (
            "compose.yaml",
            "include: [sub/more.yaml, {path: [third.yaml]}]\nservices:\n  a: {image: one, volumes: [/x:/x]}\n  b: {extends: {service: base, file: sub/base.yaml}, volumes: [/y:/y]}\n",
        ),
        ("compose.override.yaml", "services: {a: {image: two, volumes: [/z:/x, /w:/w]}}\n"),
        ("docker-compose.yml", "services: {never: {image: read}}\n"),
        ("sub/more.yaml", "services: {more: {image: more, volumes: [./m:/m]}}\n"),
        ("sub/base.yaml", "services: {base: {image: base, volumes: [./b:/b]}}\n"),
        ("third.yaml", "services: {third: {image: third}}\n"),
    ]);
    assert_eq!(project.problems, []);
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["a", "b", "more", "third"]);
    let a = &project.services["a"];
    assert_eq!((a.image.as_deref(), a.mounts.len()), (Some("two"), 2));
    let b = &project.services["b"];
    assert_eq!((b.image.as_deref(), b.mounts.len()), (Some("base"), 2));
    // Relative paths start from the folder of the file that they are in.
    assert_eq!(b.mounts[0].source, Source::Host(folder.path().join("sub/b")));
    assert_eq!(project.services["more"].mounts[0].source, Source::Host(folder.path().join("sub/m")));
}

#[test]
fn compose_file_in_env_lists_the_files() {
    let (_, project) = project(&[
        (".env", "COMPOSE_FILE=one.yaml:two.yaml\n"),
        ("one.yaml", "services: {a: {image: x}}\n"),
        ("two.yaml", "services: {b: {image: y}}\n"),
        ("compose.yaml", "services: {never: {image: read}}\n"),
    ]);
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn what_cant_be_read_is_a_problem() {
    let (_, none) = project(&[]);
    assert_eq!(none, Project::default());
    for text in ["services: [", "a: *b", "services: {a: {extends: {service: nowhere}}}"] {
        let (_, broken) = project(&[("compose.yaml", text)]);
        assert_eq!((broken.files.len(), broken.problems.len()), (1, 1), "{text}: {broken:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&folder.path().join("compose.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(read(folder.path()).problems.len(), 1);
    let (_, odd) = project(&[("compose.yaml", "services: [a, b]\nvolumes: x\ninclude: 1\n")]);
    assert!(odd.services.is_empty());
    let (_, circle) = project(&[("compose.yaml", "services: {a: {extends: b}, b: {extends: a}}")]);
    assert_eq!(circle.problems.len(), 2);
}

/// What Docker Compose itself makes of a project is read in the same way as the project.
#[test]
fn compose_itself_agrees() {
    let (folder, project) = project(&[
        (".env", "DATA_DIR='/data/with blank'\nTAG=7\nEMPTY=\n"),
        (
            "docker-compose.yml",
            r#"version: "2.4"
x-logging: &logging {labels: {a: b}}
services:
  app:
    <<: *logging
    image: "host:5000/app:${TAG}"
    ports: ["8080:80", "127.0.0.1:53:53/udp", "443:443"]
    volumes: ["${DATA_DIR}/a:/a:ro", "./b:/b", "named:/n", "${EMPTY:-/default}/c:/c", "../up:/up"]
  db:
    extends: {service: base}
    image: postgres:16
  base: {image: base, volumes: [/base:/base]}
volumes: {named: {}}
"#,
        ),
        (
            "docker-compose.override.yml",
            "version: '2.4'\nservices: {app: {volumes: ['/other:/a'], image: over:1}}\n",
        ),
    ]);
    assert_eq!(project.problems, []);
    let mut compose = std::process::Command::new("docker-compose");
    compose.arg("config").current_dir(folder.path()).env("HOME", folder.path());
    let ran = compose.output().expect("run docker-compose");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let resolved = tempfile::tempdir().unwrap();
    std::fs::write(resolved.path().join("compose.yaml"), &ran.stdout).unwrap();
    let resolved = read(resolved.path());
    for (name, service) in &project.services {
        let mut theirs = resolved.services[name].clone();
        let mut ours = service.clone();
        for one in [&mut theirs, &mut ours] {
            one.ports.sort_by_key(|port| *port.host.start());
            one.mounts.sort_by(|a, b| a.target.cmp(&b.target));
        }
        assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&ran.stdout));
    }
}
