//! The way in from build.rs.

use std::{fs, path::PathBuf};

use amgi_gen::{Builder, settings::Config};
use tempfile::TempDir;

const DOCUMENT: &str = "asyncapi: 3.1.0
info: {title: Users, version: 1.0.0}
channels:
  created:
    address: user.created
    messages:
      UserCreated: {payload: {type: object, properties: {id: {type: integer}}}}
operations:
  onUserCreated:
    action: receive
    channel: {$ref: '#/channels/created'}
";

fn document(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("user.yaml");
    fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn writes_the_module_and_its_wrapper() {
    let (dir, path) = document(DOCUMENT);
    Builder::new(&path).out_dir(dir.path()).build().unwrap();
    let module = fs::read_to_string(dir.path().join("user.rs")).unwrap();
    assert!(module.starts_with("// @generated"));
    assert!(module.contains("pub trait "));
    syn::parse_file(&module).unwrap();
    let wrapper = fs::read_to_string(dir.path().join("user.mod.rs")).unwrap();
    let end = "#[allow(dead_code, unreachable_pub)]\npub mod user {\n    \
               include!(concat!(env!(\"OUT_DIR\"), \"/user.rs\"));\n}\n";
    assert!(wrapper.ends_with(end), "{wrapper}");

    let time = || fs::metadata(dir.path().join("user.rs")).unwrap().modified().unwrap();
    let before = time();
    Builder::new(&path).out_dir(dir.path()).build().unwrap();
    assert_eq!(time(), before, "unchanged files keep their time");

    Builder::new(&path).name("people").out_dir(dir.path()).build().unwrap();
    assert!(dir.path().join("people.mod.rs").exists());
}

#[test]
fn shows_every_problem_with_its_place() {
    let (dir, path) = document(
        &DOCUMENT
            .replace("channels/created", "channels/creatd")
            .replace("action: receive", "action: recieve"),
    );
    let error = Builder::new(&path).out_dir(dir.path()).build().unwrap_err();
    assert_eq!(error.diagnostics().unwrap().len(), 2);
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(text.contains("user.yaml:10:") && text.contains("user.yaml:11:"), "{text}");
    }
    assert!(!dir.path().join("user.rs").exists());
}

#[test]
fn refuses_what_it_cannot_write() {
    let (dir, path) = document(DOCUMENT);
    fs::write(dir.path().join("user.rs"), "// somebody else's").unwrap();
    let error = Builder::new(&path).out_dir(dir.path()).build().unwrap_err();
    assert!(error.to_string().contains("was not generated"), "{error}");
    let error = Builder::new(&path).name("../x").out_dir(dir.path()).build().unwrap_err();
    assert!(error.to_string().contains("cannot name a Rust module"), "{error}");
}

#[test]
fn settings_beside_the_document_are_read() {
    let (dir, path) = document(DOCUMENT);
    let settings =
        "name = \"people\"\n[rust-names]\n\"#/channels/created/messages/UserCreated\" = \"Born\"\n";
    fs::write(dir.path().join("amgi.toml"), settings).unwrap();
    Builder::new(&path).out_dir(dir.path()).build().unwrap();
    assert!(fs::read_to_string(dir.path().join("people.rs")).unwrap().contains("pub struct Born"));

    // What is said here wins.
    Builder::new(&path).name("users").out_dir(dir.path()).build().unwrap();
    assert!(fs::read_to_string(dir.path().join("users.rs")).unwrap().contains("pub struct Born"));

    Builder::new(&path).config(Config::None).out_dir(dir.path()).build().unwrap();
    assert!(fs::read_to_string(dir.path().join("user.rs")).unwrap().contains("pub struct UserCreated"));

    fs::write(dir.path().join("other.toml"), "nam = 1\nedition = \"1999\"\n").unwrap();
    let other = Config::File(dir.path().join("other.toml"));
    let error = Builder::new(&path).config(other).out_dir(dir.path()).build().unwrap_err().to_string();
    for part in ["other.toml:1:1: error[AG0803]", "did you mean `name`?", "other.toml:2:11: error[AG0804]"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    let missing = Config::File("no/such.toml".into());
    let error = Builder::new(&path).config(missing).out_dir(dir.path()).build().unwrap_err().to_string();
    assert!(error.contains("no/such.toml: error[AG0101]: there is no file"), "{error}");
}
