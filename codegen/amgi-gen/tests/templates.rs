//! A user's templates come before ours, and can build on them.

mod common;

use common::Folder;

fn run(folder: &Folder) -> common::Ran {
    folder.run(&["user.yaml", "-o", "app", "--templates", "mine", "--quiet"])
}

#[test]
fn a_template_replaces_ours() {
    let folder = Folder::new();
    folder.write("mine/gitignore.jinja", "/target\n/{{ package }}.log\n");
    assert_eq!(run(&folder).code, 0);
    assert_eq!(folder.read("app/.gitignore"), "/target\n/app.log\n");
    assert!(folder.exists("app/src/handlers.rs"), "the others are ours");
}

#[test]
fn a_template_extends_ours() {
    let folder = Folder::new();
    folder.write(
        "mine/main.rs.jinja",
        "{% extends \"amgi/main.rs.jinja\" %}\n{% block server %}\n    my::Server::new({{ app }}).await\n{% endblock %}\n",
    );
    folder.write(
        "mine/Cargo.toml.jinja",
        "{% extends \"amgi/Cargo.toml.jinja\" %}\n{% block dependencies %}\n{{ super() }}\nserde = \"1\"\n{% endblock %}\n",
    );
    let ran = run(&folder);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let main = folder.read("app/src/main.rs");
    assert!(main.contains("    my::Server::new(user::app(Service)).await\n"), "{main}");
    assert!(main.contains("#[tokio::main]") && !main.contains("memory::Server"), "{main}");
    let manifest = folder.read("app/Cargo.toml");
    assert!(manifest.contains("serde = \"1\"") && manifest.contains("tokio = "), "{manifest}");
}

#[test]
fn templates_see_the_ir() {
    let folder = Folder::new();
    folder.write("mine/gitignore.jinja", "{% for m in api.messages %}{{ m.name }}\n{% endfor %}");
    assert_eq!(run(&folder).code, 0);
    assert!(folder.read("app/.gitignore").contains("UserCreated\n"));
}

#[test]
fn faults_are_shown_with_file_and_line() {
    for (name, text, parts) in [
        ("main.rs.jinja", "// ok\n{% if %}", &["mine/main.rs.jinja:2: ", "syntax error"][..]),
        ("main.rs.jinja", "// ok\n\n{{ api.titel }}", &["mine/main.rs.jinja:3: ", "undefined"]),
        ("main.rs.jinja", "{% include 'part' %}", &["mine/part:2: ", "undefined"]),
        (
            "main.rs.jinja",
            "fn main() {\n    let = 1;\n}",
            &["mine/main.rs.jinja: ", "no valid Rust", "line 2", "let = 1;"],
        ),
        ("README.md.jinja", "# {{ api.title }}", &["mine/README.md.jinja: ", "{{ marker }}"]),
    ] {
        let folder = Folder::new();
        folder.write("mine/part", "\n{{ nothing }}");
        folder.write(&format!("mine/{name}"), text);
        let ran = run(&folder);
        assert_eq!(ran.code, 1);
        ran.says(parts);
        assert!(!folder.exists("app"), "nothing is written");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = Folder::new();
    let ran = run(&folder);
    assert_eq!(ran.code, 1);
    ran.says(&["mine: there is no such folder of templates"]);
}
