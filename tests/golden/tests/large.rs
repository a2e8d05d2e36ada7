//! A document with more channels than one `match` or one file should hold: its module is divided into files without a
//! warning, which say what the one file says, and dispatch in groups reaches the right handler, by literal address and by
//! pattern.

use std::{fmt::Write as _, fs, path::Path};

use amgi_gen::settings::{Runtime, Settings};
use amgi_golden_tests::{cargo, generated_crate, root, shown};

const CHANNELS: usize = 120;

/// Every third channel has a parameter.
fn address(n: usize) -> String {
    if n.is_multiple_of(3) { format!("c{n}.{{id}}") } else { format!("c{n}") }
}

fn document() -> String {
    let mut text = "asyncapi: 3.0.0\ninfo: {title: Large, version: '1'}\nchannels:\n".to_owned();
    for n in 0..CHANNELS {
        let parameters = if n.is_multiple_of(3) { "    parameters: {id: {}}\n" } else { "" };
        let _ = writeln!(
            text,
            "  c{n}:\n    address: {}\n{parameters}    messages: {{m{n}: {{payload: {{type: integer}}}}}}",
            address(n)
        );
    }
    text.push_str("operations:\n");
    for n in 0..CHANNELS {
        let _ = writeln!(text, "  o{n}: {{action: receive, channel: {{$ref: '#/channels/c{n}'}}}}");
    }
    text
}

fn main_file() -> String {
    let mut text =
        "use amgi::{Context, Failure, Message, testing::TestApp};\nuse large::large::*;\n\nstruct All;\n\n"
            .to_owned();
    for n in 0..CHANNELS {
        let channel = if n.is_multiple_of(3) { format!("channel: C{n}, ") } else { String::new() };
        let check = if n.is_multiple_of(3) { "assert_eq!(channel.id, \"x\");" } else { "" };
        let _ = writeln!(
            text,
            "impl C{n}Handler for All {{\n    type Error = Failure;\n    async fn on_m{n}(&self, {channel}message: M{n}, _: &Context) \
             -> Result<(), Failure> {{\n        {check}\n        assert_eq!(message.payload, {n});\n        Ok(())\n    }}\n}}"
        );
    }
    text.push_str("\n#[tokio::main(flavor = \"current_thread\")]\nasync fn main() {\n    let app = TestApp::start(app(All)).await.unwrap();\n");
    let _ = writeln!(text, "    for n in 0..{CHANNELS} {{");
    text.push_str(
        "        let address = if n % 3 == 0 { format!(\"c{n}.x\") } else { format!(\"c{n}\") };\n        \
         app.deliver(Message::new(address).payload(n.to_string())).await.assert_acked();\n    }\n    \
         app.deliver(Message::new(\"c120\").payload(\"1\")).await.assert_nacked(\"no channel\");\n}\n",
    );
    text
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Code without what modules that are files leave out, and without spaces.
fn tight(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("//")).flat_map(|line| line.split_whitespace()).collect()
}

#[test]
fn dispatch_in_groups_reaches_every_handler() {
    let folder = generated_crate("large");
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder of the last run can be removed");
    }
    fs::create_dir_all(&folder).expect("the folder can be made");
    let spec = folder.join("large.yaml");
    write(&spec, &document());
    let settings = Settings { runtime: Runtime::Path(root().join("runtime")), ..Settings::default() };
    let generation = amgi_gen::generate(&spec, &settings);
    let api = generation.api.as_ref().expect("the document is fine");
    let plan = amgi_gen::plan::crate_files(&generation, &settings, &folder).expect("a plan");
    let module: Vec<_> = plan.iter().filter(|file| file.path.starts_with("src/large")).collect();
    for part in ["messages_2", "channels_2", "wire", "wire/codec_2", "wire/routes_2"] {
        let path = Path::new("src/large").join(part).with_extension("rs");
        assert!(module.iter().any(|file| file.path == path), "{}", path.display());
    }
    let longest = module.iter().map(|file| file.contents.lines().count()).max();
    assert!(longest.is_some_and(|lines| lines < 1000), "{longest:?}");
    // Where there can be no files, as for a macro, the same items are in one text.
    let whole = tight(&amgi_gen::format::module(api).expect("it is formatted"));
    for file in &module {
        let items = file.contents.split("\n\n").filter(|items| !items.contains("mod "));
        for items in items.map(tight).filter(|items| !items.is_empty()) {
            assert!(whole.contains(&items), "{}: {items}", file.path.display());
        }
    }
    amgi_gen::write::apply(&amgi_gen::write::compare(&folder, plan).expect("a comparison"))
        .expect("the files");
    write(
        &folder.join("src/lib.rs"),
        "//! The module alone.\n#![deny(warnings, missing_docs, unreachable_pub)]\n\n/// The document.\npub mod large;\n",
    );
    write(&folder.join("src/main.rs"), &main_file());
    let output = cargo(&folder, &["run", "--quiet"]);
    assert!(output.status.success(), "{}", shown(&output));
}
