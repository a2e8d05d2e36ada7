//! From AsyncFast to Rust: of applications in Python, `asyncfast asyncapi` prints a document, which gives a crate, which is a module
//! of Python that takes the same messages.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use amgi_brokers_tests::{install, python_servers};
use common::{folder, generate, pytest, run, wheel};

/// A folder with the module of the crate that is generated from an application.
fn moved(name: &str) -> PathBuf {
    let mut asyncfast = Command::new(python_servers());
    asyncfast
        .args(["-m", "asyncfast", "asyncapi", &format!("{name}:app")])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    asyncfast.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("asyncfast"));
    let document = folder(&format!("{name}.json"));
    fs::write(&document, run(&mut asyncfast)).expect("the document is written");
    let module = format!("{name}_rs");
    let site = folder(&module);
    install(&[wheel(&generate(&document, &module), &module)], &site);
    site
}

#[test]
fn applications_of_asyncfast_take_the_same_messages_in_rust() {
    let (orders, shapes) = (moved("orders"), moved("shapes"));
    pytest(&python_servers(), "asyncfast", &[&orders, &shapes], &[]);
}
