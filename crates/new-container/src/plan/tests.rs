//! Snapshots of the files, and the words that YAML would not read as text.

use super::*;

fn service(name: &str) -> Service {
    Service { name: name.into(), ..Service::default() }
}

#[track_caller]
fn planned(service: &Service, templates: &[Template]) -> Vec<NewFile> {
    let places = Places { container: "/home/me/containers/app".into(), data: "/home/me/data/app".into() };
    let mut count = 0;
    let mut password = || {
        count += 1;
        format!("password{count}")
    };
    files(service, &places, templates, &mut password).unwrap()
}

fn shown(files: &[NewFile]) -> String {
    let one = |file: &NewFile| {
        let text = String::from_utf8_lossy(&file.text);
        format!("==> {:?} {} {:o}\n{text}", file.root, file.path.display(), file.mode)
    };
    files.iter().map(one).collect()
}

#[test]
fn a_plain_service() {
    insta::assert_snapshot!(shown(&planned(&service("app"), &[])));
}

#[test]
fn a_service_with_everything() {
    let service = Service {
        image: Some("registry.example/app/app:1".into()),
        ports: vec!["8080:80".into(), "127.0.0.1:53:53/udp".into()],
        network: Some("proxy".into()),
        database: Some(Database::Mariadb),
        ..service("my-app")
    };
    insta::assert_snapshot!(shown(&planned(&service, &[])));
}

#[test]
fn a_service_that_is_stopped() {
    insta::assert_snapshot!(shown(&planned(&Service { stop: true, ..service("app") }, &[])));
}

#[test]
fn the_users_own_files_take_the_place_of_the_built_in_ones() {
    let template = |root, path: &str, text: &[u8]| Template {
        source: path.into(),
        root,
        path: path.into(),
        text: text.to_vec(),
        is_executable: false,
    };
    let templates = [
        template(Root::Container, "compose.yaml", b"first"),
        template(Root::Container, "x", b"\xff"),
        template(Root::Container, "compose.yaml", b"services: {{name}} {{password}}"),
    ];
    let files = planned(&service("app"), &templates);
    let names: Vec<_> = files.iter().map(|file| file.path.to_str().unwrap()).collect();
    assert_eq!(names, [".env", "compose.yaml", "x", ".resticignore", "prepare-backup.sh"]);
    assert_eq!(files[1].text, b"services: app password1");
    assert_eq!(files[2].text, b"\xff");
}

#[test]
fn words_that_yaml_does_not_read_as_text_are_quoted() {
    for (word, expected) in
        [("app", "app"), ("123", "\"123\""), ("no", "\"no\""), ("nginx:1", "nginx:1"), ("1e3", "\"1e3\"")]
    {
        assert_eq!(yaml_word(word), expected);
    }
}

#[test]
fn a_path_that_no_env_file_can_hold_is_refused() {
    assert_eq!(env_word(Path::new("/home/a b/$x")).unwrap(), "'/home/a b/$x'");
    assert!(env_word(Path::new("/home/it's")).unwrap_err().to_string().contains("/home/it's"));
}
