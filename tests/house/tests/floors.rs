//! Every module imports only from floors below its own, so that the way of the data stays one way.

use std::{fs, path::Path};

use amgi_golden_tests::root;

/// Modules of each crate by floor. A module may use what is on lower floors, and its own parts.
const FLOORS: &[(&str, &[&[&str]])] = &[
    (
        "codegen/amgi-asyncapi",
        &[
            &["diag", "codes", "keyword", "source", "remote"],
            &["node", "model"],
            &["ids"],
            &["files"],
            &["refs", "schema", "bindings"],
            &["reader", "overlay", "bundle"],
            &["v2", "v3"],
            &["validate"],
            &["load"],
        ],
    ),
    (
        "codegen/amgi-gen",
        &[
            &["settings", "name", "docs", "codes"],
            &["ir"],
            &["types", "lower"],
            &["emit"],
            &["format"],
            &["scaffold", "plan", "diff"],
            &["write"],
            &["cargo", "cli"],
        ],
    ),
    (
        "runtime/amgi",
        &[
            // The contract names the context, the errors and what belongs to a message, and an application is put into
            // layers: they are one floor.
            &[
                "contract",
                "error",
                "address",
                "context",
                "sender",
                "stop",
                "dependency",
                "channels",
                "idempotency",
                "reply",
                "layer",
                "codec",
            ],
            &["number", "peek", "bindings"],
            &["lifespan", "route"],
            &["server"],
            &["memory", "codegen", "testing", "batch", "client", "protocol", "servers"],
            &["cli", "guide"],
        ],
    ),
    (
        "runtime/amgi-telemetry",
        &[
            &["error", "health", "logs", "metrics", "otlp", "propagation", "settings"],
            &["endpoint"],
            &["prometheus"],
            // What belongs together is known by all of them, and makes them.
            &["sender", "telemetry", "trace"],
        ],
    ),
];

/// Files of a module: `name.rs` and everything in `name/`.
fn files(src: &Path, module: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![src.join(module)];
    if let Ok(text) = fs::read_to_string(src.join(format!("{module}.rs"))) {
        found.push((format!("{module}.rs"), text));
    }
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path).expect("a source file can be read");
                found.push((path.strip_prefix(src).unwrap_or(&path).display().to_string(), text));
            }
        }
    }
    found
}

/// Modules that a text names after `crate::`, singly or in braces. Tests may use what they like.
fn imports(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut out = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        // `$crate::` and `#[serde(crate = …)]` speak of other crates.
        if text[..at].ends_with('$') {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        let mut depth = 0_u32;
        let mut word = String::new();
        let mut words = Vec::new();
        let mut fresh = true;
        for c in rest.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth <= 1 => {
                    words.push((std::mem::take(&mut word), fresh));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 1 => {
                    words.push((std::mem::take(&mut word), fresh));
                    fresh = true;
                }
                ':' | ';' | '(' | '<' if fresh && !word.is_empty() => {
                    words.push((std::mem::take(&mut word), true));
                    fresh = false;
                    if depth == 0 {
                        break;
                    }
                }
                c if c.is_whitespace() || c == '{' => {}
                c if c.is_alphanumeric() || c == '_' => word.extend(fresh.then_some(c)),
                _ if depth == 0 => break,
                _ => {}
            }
        }
        words.push((word, fresh));
        out.extend(
            words.into_iter().filter(|(word, fresh)| *fresh && !word.is_empty()).map(|(word, _)| word),
        );
    }
    out
}

#[test]
fn modules_import_only_lower_floors() {
    let mut wrong = Vec::new();
    for (krate, floors) in FLOORS {
        let src = root().join(krate).join("src");
        let floor_of = |name: &str| floors.iter().position(|floor| floor.contains(&name));
        for (floor, modules) in floors.iter().enumerate() {
            for module in *modules {
                let files = files(&src, module);
                assert!(!files.is_empty(), "{krate} has no module `{module}` any more; mend the table");
                for (file, text) in files {
                    for import in imports(&text) {
                        if import != *module && floor_of(&import).is_some_and(|other| other > floor) {
                            wrong.push(format!("{krate}/src/{file} (floor {floor}) uses `{import}`"));
                        }
                    }
                }
            }
        }
        // A module that nobody has given a floor would escape the rule.
        for entry in fs::read_dir(&src).expect("the crate has sources").filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
            if !["lib", "main"].contains(&name.as_str()) && floor_of(&name).is_none() {
                wrong.push(format!("{krate}: module `{name}` has no floor"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_document_crate_knows_nothing_of_rust_code() {
    let manifest = fs::read_to_string(root().join("codegen/amgi-asyncapi/Cargo.toml")).expect("a manifest");
    for name in ["quote", "syn", "typify", "proc-macro2", "prettyplease"] {
        let depends = manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(name));
        assert!(!depends, "amgi-asyncapi depends on {name}");
    }
}

#[test]
fn only_one_module_knows_typify() {
    let src = root().join("codegen/amgi-gen/src");
    for (_, floors) in FLOORS.iter().filter(|(krate, _)| *krate == "codegen/amgi-gen") {
        for module in floors.iter().flat_map(|floor| *floor).filter(|module| **module != "types") {
            for (file, text) in files(&src, module) {
                assert!(!text.contains("typify::"), "{file} uses typify; only `types` may");
            }
        }
    }
}

#[test]
fn imports_are_seen_in_every_form() {
    let text = "use crate::a::X;\nuse crate::{b, c::{self, d}, e::F};\nlet x = crate::g::h(); #[cfg(test)] crate::z::y";
    assert_eq!(imports(text), ["a", "b", "c", "e", "g"]);
}
