//! What templates see beside the IR: everything that would be awkward to work out in a template.
//!
//! Names of the document are settled by the IR; here they only meet the few names of the scaffold itself.

use std::collections::BTreeSet;

use minijinja::{Value, value::Serde};
use serde::Serialize;

use super::{lambda::Lambda, mermaid, python::Python};
use crate::{
    format,
    ir::{Api, Channel, Example, Method, Server},
    settings::{Runtime, Settings},
};

/// Width that rustfmt allows by default.
const WIDTH: usize = 100;

/// Width of arguments that rustfmt leaves on one line.
const CALL_WIDTH: usize = 60;

/// Names the scaffold's handlers use; a type of the document that is called like one is written with its module.
const TAKEN: &[&str] = &[
    "Batch",
    "Context",
    "Err",
    "Failure",
    "NotImplemented",
    "Ok",
    "Result",
    "Self",
    "Service",
    "TypedMessage",
    "Vec",
];

/// The context of every template, see the README of `amgi-templates`.
#[derive(Debug, Serialize)]
pub(crate) struct View<'a> {
    api: &'a Api,
    marker: String,
    package: &'a str,
    krate: String,
    module: &'a str,
    edition: &'a str,
    rust_version: &'a str,
    runtime: String,
    protocols: Vec<Protocol>,
    dependencies: &'a [(String, String)],
    app: String,
    addresses: Vec<Address<'a>>,
    handlers: Vec<Handler<'a>>,
    imports: Imports,
    mermaid: String,
    run: String,
    /// Whether it runs on a server of the document.
    spoken: bool,
    example: Option<String>,
    lambda: Option<Lambda>,
    /// The library's name in code, which is the Python module's.
    library: String,
    python: Option<Python<'a>>,
}

/// A server crate, which is a feature of the crate that is written.
#[derive(Debug, Serialize)]
struct Protocol {
    feature: &'static str,
    package: &'static str,
    module: String,
    dependency: String,
    default: bool,
}

/// A channel whose address is given at run time.
#[derive(Debug, Serialize)]
struct Address<'a> {
    key: &'a str,
    field: &'a str,
    environment: String,
}

#[derive(Debug, Serialize)]
struct Handler<'a> {
    name: String,
    channel: &'a Channel,
    methods: Vec<MethodView<'a>>,
}

/// A method to implement.
#[derive(Debug, Serialize)]
struct MethodView<'a> {
    name: &'a str,
    signature: String,
    note: String,
    log: String,
    reply: Option<ReplyView>,
}

#[derive(Debug, Serialize)]
struct ReplyView {
    statement: String,
    value: String,
}

#[derive(Debug, Serialize)]
struct Imports {
    amgi: String,
    generated: String,
    main: String,
    python: String,
}

impl<'a> View<'a> {
    pub(crate) fn new(api: &'a Api, settings: &'a Settings, package: &'a str) -> Self {
        let mut names = Names::of(&api.name);
        let handlers: Vec<_> = api
            .handled()
            .map(|(channel, handler)| {
                let name = names.path(&handler.name);
                let methods = handler
                    .methods
                    .iter()
                    .map(|method| method_view(api, channel, method, &mut names))
                    .collect();
                Handler { name, channel, methods }
            })
            .collect();
        let addresses: Vec<_> = handlers.iter().filter_map(|handler| address(handler.channel)).collect();
        let arguments = if addresses.is_empty() { "Service" } else { "Service, addresses" };
        let library = package.replace('-', "_");
        let krate = library.clone();
        // A library and a module of one name are told apart by where the path starts.
        let krate = if krate == api.name { format!("::{krate}") } else { krate };
        let mut used = ["handlers::Service", api.name.as_str()];
        used.sort_unstable();
        let (main, python) = (import(&krate, &used), import("crate", &used));
        let features: Vec<&str> = ["cli"].iter().chain(api.features()).copied().collect();
        Self {
            marker: format::marker(api),
            package,
            krate,
            module: &api.name,
            edition: settings.edition.as_str(),
            rust_version: env!("CARGO_PKG_RUST_VERSION"),
            runtime: dependency(&settings.runtime, "amgi", &features, false),
            dependencies: &settings.dependencies,
            protocols: protocols(api, settings),
            app: format!("{}::app({})", api.name, arguments),
            addresses,
            imports: names.imports(main, python),
            handlers,
            mermaid: mermaid::flowchart(api),
            run: run(api),
            spoken: spoken(api).is_some(),
            example: example(api),
            lambda: Lambda::of(api, settings),
            python: Python::of(api, settings, &library),
            library,
            api,
        }
    }

    /// Whether the application receives a message with an example.
    pub(crate) fn has_examples(&self) -> bool {
        self.example.is_some()
    }

    /// Whether there is something for AWS Lambda.
    pub(crate) fn on_lambda(&self) -> bool {
        self.lambda.is_some()
    }

    /// Whether there is something for Python.
    pub(crate) fn in_python(&self) -> bool {
        self.python.is_some()
    }

    /// The library's name.
    pub(crate) fn library(&self) -> &str {
        &self.library
    }

    pub(crate) fn value(&self) -> Value {
        Value::from(Serde(self))
    }
}

/// Server crates: the feature that a crate has for it, and what documents call its protocol.
const PROTOCOLS: &[(&str, &str, &[&str])] = &[
    ("amqp", "amgi-amqp", &["amqp", "amqps", "rabbitmq"]),
    ("http", "amgi-http", &["http", "https"]),
    ("kafka", "amgi-kafka", &["kafka", "kafka-secure"]),
    ("lambda", "amgi-lambda", &["dynamodb", "eventbridge", "kinesis"]),
    ("mqtt", "amgi-mqtt", &["mqtt", "mqtt5", "mqtts", "secure-mqtt"]),
    ("nats", "amgi-nats", &["nats", "natss"]),
    ("redis", "amgi-redis", &["redis", "rediss", "redis-secure"]),
    ("sqs", "amgi-sqs", &["sqs", "sns"]),
];

fn protocols(api: &Api, settings: &Settings) -> Vec<Protocol> {
    let protocol = |(feature, package, names): &(&'static str, &'static str, &[&str])| Protocol {
        feature,
        package,
        module: package.replace('-', "_"),
        dependency: dependency(&settings.runtime, package, &[], true),
        default: api.servers.iter().any(|server| names.contains(&server.protocol.as_str())),
    };
    PROTOCOLS.iter().map(protocol).collect()
}

/// The command that runs the application on a broker: the first that there is a server crate for.
fn run(api: &Api) -> String {
    match spoken(api) {
        Some((_, server)) => format!("cargo run -- run {}", word(&server.key)),
        None => "cargo run --features mqtt -- run mqtt://localhost:1883".to_owned(),
    }
}

/// A word of the shell, in quotes where it needs them.
pub(super) fn word(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if plain && !text.is_empty() { text.to_owned() } else { super::shell(text) }
}

/// The document's first server that there is a server crate for, and the crate's feature.
pub(super) fn spoken(api: &Api) -> Option<(&'static str, &Server)> {
    let spoken = |server: &Server| {
        let names = |names: &[&str]| names.contains(&&*server.protocol);
        // On Lambda nobody runs it by hand.
        PROTOCOLS
            .iter()
            .find(|(feature, _, of)| *feature != "lambda" && names(of))
            .map(|(feature, ..)| *feature)
    };
    api.servers.iter().find_map(|server| Some((spoken(server)?, server)))
}

pub(super) fn dependency(runtime: &Runtime, name: &str, features: &[&str], optional: bool) -> String {
    let (key, value) = match runtime {
        Runtime::Path(folder) => ("path", folder.join(name).display().to_string().replace('\\', "/")),
        Runtime::Git(url) => ("git", url.clone()),
        Runtime::Version(version) => ("version", version.clone()),
        Runtime::Auto => ("version", env!("CARGO_PKG_VERSION").to_owned()),
    };
    let value = super::toml(&value);
    if key == "version" && features.is_empty() && !optional {
        return value;
    }
    let mut out = format!("{{ {key} = {value}");
    if !features.is_empty() {
        let features: Vec<String> = features.iter().map(|feature| super::toml(feature)).collect();
        out.extend([", features = [", &features.join(", "), "]"]);
    }
    if optional {
        out.push_str(", optional = true");
    }
    out + " }"
}

fn address(channel: &Channel) -> Option<Address<'_>> {
    if channel.address.is_some() {
        return None;
    }
    Some(Address { key: &channel.key, field: &channel.field, environment: variable(channel) })
}

/// The environment variable of a channel's address.
pub(super) fn variable(channel: &Channel) -> String {
    format!("{}_ADDRESS", channel.field.trim_start_matches("r#").to_uppercase())
}

fn method_view<'a>(
    api: &Api,
    channel: &Channel,
    method: &'a Method,
    names: &mut Names<'_>,
) -> MethodView<'a> {
    let mut arguments = vec!["&self".to_owned()];
    let mut shown = String::new();
    if let Some(parameters) = &channel.parameters {
        let ty = names.path(&parameters.name);
        if method.batch {
            arguments.push(format!("channels: Vec<{ty}>"));
            shown.push_str("{channels:?} ");
        } else {
            arguments.push(format!("channel: {ty}"));
            shown.push_str("{channel:?} ");
        }
    }
    let input = names.path(&method.input);
    if method.batch {
        names.batches = true;
        arguments.extend([format!("{}: Vec<{input}>", method.argument), "batch: &Batch<'_>".to_owned()]);
    } else {
        names.singles = true;
        arguments.extend([format!("{}: {input}", method.argument), "cx: &Context".to_owned()]);
    }
    let output = match &method.reply {
        Some(reply) => names.path(&reply.output),
        None => "()".to_owned(),
    };
    let reply = method.reply.as_ref().and_then(|reply| {
        let first = api.messages.get(*reply.messages.first()?)?;
        names.replies = true;
        let several = reply.messages.len() > 1;
        Some(ReplyView {
            statement: format!("let reply = {}::example().ok_or(NotImplemented)?;", names.path(&first.name)),
            value: if several {
                format!("{}::{}(reply)", names.path(&reply.output), first.name)
            } else {
                "reply".to_owned()
            },
        })
    });
    MethodView {
        name: &method.name,
        signature: signature(&method.name, &arguments, &output),
        note: note(method),
        log: log(method.batch, &format!("{}: {shown}{{{}:?}}", method.name, method.argument)),
        reply,
    }
}

/// One line about a method.
fn note(method: &Method) -> String {
    let first = method.docs.iter().flat_map(|text| text.lines()).map(str::trim).find(|line| !line.is_empty());
    super::one_line(first.unwrap_or_default())
}

/// The head of a method the way rustfmt writes it.
fn signature(name: &str, arguments: &[String], output: &str) -> String {
    let end = format!(") -> Result<{output}, Self::Error> {{");
    let line = format!("    async fn {name}({}{end}", arguments.join(", "));
    if line.chars().count() <= WIDTH {
        return line;
    }
    format!("    async fn {name}(\n        {},\n    {end}", arguments.join(",\n        "))
}

/// The statement that shows what was received, the way rustfmt writes it.
fn log(batch: bool, text: &str) -> String {
    let field = if batch { "count = batch.len()" } else { "address = cx.address()" };
    let line = format!("{field}, {text:?}");
    if line.chars().count() <= CALL_WIDTH {
        return format!("tracing::info!({line});");
    }
    format!("tracing::info!(\n            {field},\n            {text:?}\n        );")
}

/// The names of the generated module that the handlers use.
#[allow(clippy::struct_excessive_bools)] // each is one name to import
struct Names<'a> {
    module: &'a str,
    used: BTreeSet<String>,
    qualified: bool,
    replies: bool,
    batches: bool,
    singles: bool,
}

impl<'a> Names<'a> {
    fn of(module: &'a str) -> Self {
        Self {
            module,
            used: BTreeSet::new(),
            qualified: false,
            replies: false,
            batches: false,
            singles: false,
        }
    }

    fn path(&mut self, name: &str) -> String {
        if TAKEN.contains(&name) {
            self.qualified = true;
            return format!("{}::{name}", self.module);
        }
        // `()` and the like are types, and no names of the module.
        if name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            self.used.insert(name.to_owned());
        }
        name.to_owned()
    }

    fn imports(&self, main: String, python: String) -> Imports {
        let mut amgi = Vec::new();
        amgi.extend(self.batches.then_some("Batch"));
        amgi.extend(self.singles.then_some("Context"));
        amgi.extend(["Failure", "NotImplemented"]);
        amgi.extend(self.replies.then_some("TypedMessage"));
        let own = self.qualified.then_some("self");
        let generated: Vec<&str> = own.into_iter().chain(self.used.iter().map(String::as_str)).collect();
        Imports {
            amgi: import("amgi", &amgi),
            generated: import(&format!("crate::{}", self.module), &generated),
            main,
            python,
        }
    }
}

/// A `use` declaration the way rustfmt writes it.
fn import(path: &str, names: &[&str]) -> String {
    if let [name] = names
        && *name != "self"
    {
        return format!("use {path}::{name};");
    }
    let line = format!("use {path}::{{{}}};", names.join(", "));
    // What rustfmt keeps free for braces and commas, found by trying.
    if line.chars().count() <= WIDTH - 2 {
        return line;
    }
    let mut out = format!("use {path}::{{\n   ");
    let mut width = 3;
    for name in names {
        let wide = name.chars().count() + 2;
        if width + wide > WIDTH - 1 && width > 3 {
            out.push_str("\n   ");
            width = 3;
        }
        out.extend([" ", *name, ","]);
        width += wide;
    }
    out.push_str("\n};");
    out
}

/// The first example that the application receives, as the in-memory server reads it.
fn example(api: &Api) -> Option<String> {
    let (channel, example) = api.handled().find_map(|(channel, handler)| {
        let indexes = handler.methods.iter().flat_map(|method| &method.messages);
        let mut messages = indexes.filter_map(|index| api.messages.get(*index));
        Some((channel, messages.find_map(|message| message.examples.first())?))
    })?;
    example_line(channel, example)
}

fn example_line(channel: &Channel, example: &Example) -> Option<String> {
    let mut address = channel.address.clone()?;
    for parameter in channel.parameters.iter().flat_map(|parameters| &parameters.fields) {
        let value = parameter.example.as_deref().unwrap_or("42");
        address = address.replace(&format!("{{{}}}", parameter.wire), value);
    }
    let mut line = serde_json::Map::new();
    line.insert("address".to_owned(), address.into());
    if example.headers.as_object().is_some_and(|headers| !headers.is_empty()) {
        line.insert("headers".to_owned(), example.headers.clone());
    }
    if let Some(payload) = &example.payload {
        line.insert("payload".to_owned(), payload.clone());
    }
    Some(serde_json::Value::Object(line).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_wrap_like_rustfmt() {
        let arguments = ["&self", "message: UserCreated", "cx: &Context"].map(str::to_owned);
        let head = signature("on_user_created", &arguments, "()");
        assert_eq!(
            head,
            "    async fn on_user_created(&self, message: UserCreated, cx: &Context) -> Result<(), Self::Error> {"
        );
        let head = signature("on_a_user_was_created", &arguments, "()");
        assert_eq!(head.lines().count(), 5);
    }

    #[test]
    fn imports_wrap_like_rustfmt() {
        assert_eq!(import("crate::user", &["A"]), "use crate::user::A;");
        assert_eq!(import("crate::user", &["self", "A"]), "use crate::user::{self, A};");
        let names = ["UserCreatedHandler"; 6];
        let text = import("crate::user", &names);
        assert_eq!(text.lines().count(), 4);
        assert!(text.lines().all(|line| line.len() <= WIDTH));
    }

    #[test]
    fn names_of_the_scaffold_are_not_shadowed() {
        let mut names = Names::of("user");
        assert_eq!(names.path("Context"), "user::Context");
        assert_eq!(names.path("User"), "User");
        assert_eq!(names.path("()"), "()");
        assert_eq!(names.imports(String::new(), String::new()).generated, "use crate::user::{self, User};");
    }
}
