//! The guide's pages: what they show of documents is in documents that its examples are built from, and every page is a module.

use std::{fs, path::Path};

use amgi_golden_tests::root;

fn texts(folder: &Path, extension: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).expect("the folder of the guide");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let paths = paths.filter(|path| path.extension().is_some_and(|other| other == extension));
    paths
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a text"))
        })
        .collect()
}

#[test]
fn documents_on_pages_are_those_of_the_examples() {
    let folder = root().join("runtime/amgi/guide");
    let mut documents = texts(&folder, "yaml");
    documents.extend(texts(&folder.join("asyncfast"), "yaml"));
    let mut shown = 0;
    for (page, text) in texts(&folder, "md") {
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().expect("an end");
            let found = documents.iter().any(|(_, document)| document.contains(block));
            assert!(found, "{page}.md shows what is in no document of guide/:\n{block}");
            shown += 1;
        }
    }
    assert!(shown > 5, "{shown} documents shown");
}

#[test]
fn every_page_is_a_module_and_in_the_contents() {
    let index = fs::read_to_string(root().join("runtime/amgi/src/guide.rs")).expect("the module");
    for (page, _) in texts(&root().join("runtime/amgi/guide"), "md") {
        for needed in [format!("guide/{page}.md\")"), format!("pub mod {page} {{}}"), format!("{page}`]")] {
            assert!(index.contains(&needed), "guide.rs lacks `{needed}`");
        }
    }
}

#[test]
fn every_block_of_rust_is_compiled() {
    for (page, text) in texts(&root().join("runtime/amgi/guide"), "md") {
        for line in text.lines().filter(|line| line.starts_with("```rust")) {
            assert!(!line.contains("ignore") && !line.contains("compile_fail"), "{page}.md: {line}");
        }
    }
}
