//! From AsyncFast to Rust: of applications in Python, `asyncfast asyncapi` prints a document, which gives a crate, which is a module
//! of Python that takes the same messages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use amgi_brokers_tests::{install, python_servers};
use amgi_golden_tests::root;
use amgi_python_tests::{folder, generate, pytest, run, wheel};

/// The document of an application in a folder.
fn document(folder_of: &Path, name: &str) -> PathBuf {
    let mut asyncfast = Command::new(python_servers());
    asyncfast
        .args(["-m", "asyncfast", "asyncapi", &format!("{name}:app")])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let document = folder(&format!("{name}.json"));
    fs::write(&document, run(asyncfast.current_dir(folder_of))).expect("the document is written");
    document
}

/// A folder with the module of the crate that is generated from an application.
fn moved(name: &str) -> PathBuf {
    let applications = Path::new(env!("CARGO_MANIFEST_DIR")).join("asyncfast");
    let module = format!("{name}_rs");
    site(&generate(&document(&applications, name), &module), &module)
}

/// A folder with the module of a crate.
fn site(manifest: &Path, name: &str) -> PathBuf {
    let site = folder(name);
    install(&[wheel(manifest, name)], &site);
    site
}

#[test]
fn applications_of_asyncfast_take_the_same_messages_in_rust() {
    let (orders, shapes) = (moved("orders"), moved("shapes"));
    pytest(&python_servers(), "asyncfast", &[&orders, &shapes], &[]);
}

/// The block of the guide after this fence.
fn block(fence: &str) -> String {
    let guide = fs::read_to_string(root().join("runtime/amgi-python/ASYNCFAST.md")).expect("the guide");
    let after = guide.split_once(&format!("```{fence}\n")).expect("the block").1;
    after.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn the_guide_tells_the_truth() {
    let shop = folder("guide");
    fs::create_dir_all(&shop).expect("a folder");
    fs::write(shop.join("shop.py"), block("python")).expect("the application");
    let manifest = generate(&document(&shop, "shop"), "shop");
    // The edit that the guide describes: what is used at the top, a method in place of the scaffold's.
    let edit = block("rust,ignore");
    let (uses, handler) = edit.split_once("\n\n").expect("uses, then a handler");
    let path = manifest.with_file_name("src").join("handlers.rs");
    let text = fs::read_to_string(&path).expect("the handlers");
    let (head, rest) = text.split_once("use crate::shop::{").expect("what the scaffold uses");
    let (_, rest) = rest.split_once("};\n").expect("its end");
    let (between, rest) =
        rest.split_once("impl OnPlacedHandler for Service").expect("the scaffold's handler");
    let (_, tail) = rest.split_once("\n}\n").expect("its end");
    fs::write(&path, format!("{head}{uses}\n{between}{handler}{tail}")).expect("the edit is written");
    pytest(&python_servers(), "guide", &[&site(&manifest, "shop")], &[]);
}
