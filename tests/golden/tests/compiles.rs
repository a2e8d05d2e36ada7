//! Generated code compiles without a warning under both editions, inside a crate that denies them, and clippy's pedantic
//! lints have nothing to say about it.

use std::fmt::Write as _;

use amgi_golden_tests::{cargo, generated_crate, module, root, shown, specs};

#[test]
fn modules_are_free_of_warnings() {
    let modules: Vec<(String, String)> = specs().iter().map(|spec| module(spec)).collect();
    for edition in ["2021", "2024"] {
        let folder = generated_crate(&format!("strict-{edition}"));
        std::fs::create_dir_all(folder.join("src")).expect("the folder can be made");
        let manifest = format!(
            "[package]\nname = \"strict-{edition}\"\nversion = \"0.1.0\"\nedition = \"{edition}\"\n\n\
             [dependencies]\namgi = {{ path = {:?}, features = [\"validate\"] }}\n\n[workspace]\n",
            root().join("runtime/amgi").display().to_string()
        );
        std::fs::write(folder.join("Cargo.toml"), manifest).expect("the manifest can be written");
        let mut lib =
            "//! Every document of the project.\n#![deny(warnings, missing_docs, unreachable_pub)]\n"
                .to_owned();
        for (name, text) in &modules {
            // The module is public here, so nothing needs the wrapper's allowances.
            writeln!(lib, "/// The document `{name}`.\npub mod {name};").expect("writing to a string");
            std::fs::write(folder.join(format!("src/{name}.rs")), text).expect("the module can be written");
        }
        std::fs::write(folder.join("src/lib.rs"), lib).expect("the crate root can be written");
        let output = cargo(&folder, &["clippy", "--quiet", "--", "-W", "clippy::pedantic"]);
        assert!(output.status.success(), "edition {edition}:\n{}", shown(&output));
    }
}
