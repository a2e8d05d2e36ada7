//! Drives applications that were generated from documents, and looks at what they do; `--help` says more.

use std::{fmt::Write as _, fs, path::Path, process::ExitCode};

use amgi_gen::{format, generate, ir::Api, settings::Settings};
use amgi_golden_tests::{cargo, generated_crate, root, shown};
use amgi_tests::{program::write, say};

const USAGE: &str = "\
usage: semantics DIR

Generates the documents named below from DIR as modules of one crate, beside a test for each that was written by hand from
reading the document (tests/amgi-tests/semantics/NAME.rs), and runs the tests. Every handler and every send of a document must
occur in its test.
";

/// Test and document: protocols and versions differ.
const DOCUMENTS: &[(&str, &str)] = &[
    ("rpc_server", "asyncapi__spec/_at_v2.0.0/examples/2.0.0/rpc-server.yml"),
    ("streetlights_mqtt", "asyncapi__spec/_at_v2.1.0/examples/streetlights-mqtt.yml"),
    ("nats_reply", "asyncapi__ts-nats-template/examples/simple-reply/asyncapi.json"),
    ("accounts_amqp", "asyncapi__go-watermill-template/test/atest.yml"),
    (
        "gitter_http",
        "asyncapi__kotlin-asyncapi/kotlin-asyncapi-core/src/test/resources/async_api_integration.json",
    ),
    (
        "streetlights_amqp",
        "asyncapi__java-spring-template/tests/user_examples/aqmp_config_multiple-channels.yaml",
    ),
    (
        "streetlights_kafka",
        "Apicurio__apicurio-registry/ui/ui-app/src/services/_templates/asyncapi/asyncapi-2-streetlights.json",
    ),
    ("users_nats", "Ioka-Technologies__asyncapi-template/examples/nats/asyncapi.yaml"),
    (
        "springwolf_sqs",
        "springwolf__springwolf-core/springwolf-examples/springwolf-sqs-example/src/test/resources/asyncapi.json",
    ),
    ("correlation_mqtt", "asyncapi__spec/examples/correlation-id-asyncapi.yml"),
    ("ping_reply", "lerenn__asyncapi-codegen/test/v3/issues/145/asyncapi.yaml"),
    (
        "signup_reply",
        "microcks__microcks/minions/async/src/test/resources/io/github/microcks/minion/async/user-signedup-asyncapi-3.0-reply.yaml",
    ),
    ("transcribe_ws", "iotype-ai__iotype-api/spec/asyncapi.yaml"),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.as_slice() {
        [folder] if !folder.starts_with('-') => run(Path::new(folder)),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(text) => {
            say(text);
            ExitCode::SUCCESS
        }
        Err(text) => {
            say(text);
            ExitCode::FAILURE
        }
    }
}

fn run(corpus: &Path) -> Result<String, String> {
    let folder = generated_crate("semantics");
    let mut lib = "//! Generated modules and their tests.\n#![deny(warnings)]\n".to_owned();
    let mut missing = String::new();
    let written = |name: &str| {
        let path = root().join(format!("tests/amgi-tests/semantics/{name}.rs"));
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    write(&folder.join("src/common.rs"), &written("common")?)?;
    lib.push_str("#[cfg(test)]\nmod common;\n");
    for (name, document) in DOCUMENTS {
        let (api, text) = module(&corpus.join(document), name)?;
        write(&folder.join(format!("src/{name}.rs")), &text)?;
        let program = written(name)?;
        for absent in untested(&api, &program) {
            // Writing to a string does not fail.
            let _ = writeln!(missing, "{name}: {absent} is not tested");
        }
        write(&folder.join(format!("src/{name}/test.rs")), &program)?;
        let _ = writeln!(
            lib,
            "#[allow(dead_code, unreachable_pub)]\npub mod {name};\n#[cfg(test)]\n#[path = \"{name}/test.rs\"]\nmod {name}_test;"
        );
    }
    write(&folder.join("src/lib.rs"), &lib)?;
    let manifest = format!(
        "[package]\nname = \"semantics\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\namgi = {{ path = {:?}, features = [\"validate\"] }}\n\
         serde_json = \"1\"\ntokio = {{ version = \"1\", features = [\"macros\", \"rt\"] }}\n\n[profile.dev]\ndebug = false\n\n[workspace]\n",
        root().join("runtime/amgi").display().to_string()
    );
    write(&folder.join("Cargo.toml"), &manifest)?;
    let output = cargo(&folder, &["test", "--quiet"]);
    if !output.status.success() || !missing.is_empty() {
        return Err(format!("{}\n{missing}", shown(&output)));
    }
    Ok(format!("semantics: the tests of {} documents pass\n{}", DOCUMENTS.len(), shown(&output).trim()))
}

fn module(path: &Path, name: &str) -> Result<(Api, String), String> {
    let settings = Settings { name: Some(name.to_owned()), ..Settings::default() };
    let generation = generate(path, &settings);
    let Some(api) = generation.api else {
        return Err(format!("{}:\n{}", path.display(), generation.sources.report(&generation.diagnostics)));
    };
    let text = format::module(&api).map_err(|error| error.to_string())?;
    Ok((api, text))
}

/// Handlers and sends that a test does not speak of.
fn untested(api: &Api, test: &str) -> Vec<String> {
    let methods = api.handled().flat_map(|(_, handler)| &handler.methods);
    let methods = methods.map(|method| format!("fn {}(", method.name));
    let sends = api.sends.iter().map(|send| format!(".{}(", send.name));
    methods.chain(sends).filter(|call| !test.contains(call)).collect()
}
