//! What compiling the types of a document costs, beside what a person would write, and how that grows.
//!
//! Documents have a channel and a message whose payload refers to types of ten members each, with the rules that documents
//! have. The same types are written as a person writes them, and by typify. Each becomes a library in which a payload is
//! read and written. The program prints a table, writes `target/bench/compile.json` and exits with 1 when a bound is
//! exceeded.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use amgi_bench::{
    command::{output, root, target},
    fail, finish,
};
use amgi_bench_codegen::{
    package::{clear, compile, generating, generator, write},
    typify::typify,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Processor time of [`FEW`] types, to that of the same by hand.
const MOST: f64 = 1.5;
/// Processor time a type of [`MANY`], to that of [`FEW`].
const MOST_GROWTH: f64 = 1.2;

/// Types of a document.
const FEW: usize = 100;
/// Types of a large document.
const MANY: usize = 1000;
/// Runs of which the fastest counts.
const RUNS: usize = 3;
/// Types that a member of the payload holds, each inside the one before. The payload lists them, so that no value is large.
const NESTED: usize = 10;

/// The generated module.
const GENERATED: &str = "generated";
/// What a person writes, and the others are compared with.
const HAND: &str = "by hand";
/// What typify makes of the schemas.
const TYPIFY: &str = "typify";

#[derive(Serialize)]
struct Report {
    rows: Vec<Row>,
    growth: Growth,
    exceeded: Vec<String>,
}

/// Seconds of processor time that debug builds take.
#[derive(Serialize)]
struct Row {
    way: &'static str,
    /// Of one type: what is compiled however many there are.
    one: f64,
    few: f64,
    /// Milliseconds a type.
    per_type: f64,
    /// [`FEW`] types, in those by hand.
    ratio: f64,
    /// The same for what a type costs.
    ratio_per_type: f64,
}

/// What many types cost.
#[derive(Serialize)]
struct Growth {
    /// Seconds of processor time of [`MANY`] generated types.
    many: f64,
    /// A type of them, in one of [`FEW`].
    ratio: f64,
}

fn main() -> ExitCode {
    match measure() {
        Ok(report) => finish(&table(&report), &[], &report.exceeded),
        Err(problem) => fail(&problem),
    }
}

fn measure() -> Result<Report, String> {
    let generator = generator()?;
    let folder = target().join("bench/compile");
    let mut packages = Vec::new();
    for count in [1, FEW] {
        packages.push((GENERATED, count, generated(&generator, &folder, count)?));
        packages.push((HAND, count, by_hand(&folder, count)?));
        packages.push((TYPIFY, count, by_typify(&folder, count)?));
    }
    // With dependencies, and to see what there is to measure.
    for (way, count, package) in &packages {
        compile(package, "--lib")?;
        let found = readers(package)?;
        if found < *count {
            return Err(format!("{way}: {count} types are read, but compiled are {found}"));
        }
    }
    let mut seconds = BTreeMap::new();
    for _ in 0..RUNS {
        for (way, count, package) in &packages {
            let best = seconds.entry((*way, *count)).or_insert(f64::MAX);
            *best = best.min(compile(package, "--lib")?);
        }
    }
    let rows = rows(&seconds);
    let few = folder.join(format!("{GENERATED}{FEW}"));
    let growth = growth(rows[0].one, &few, &generated(&generator, &folder, MANY)?)?;
    let exceeded = exceeded(&rows[0], &growth);
    let report = Report { rows, growth, exceeded };
    amgi_bench::report("compile", &report)?;
    Ok(report)
}

/// How many functions that read an object are in a package as it was compiled last.
fn readers(package: &Path) -> Result<usize, String> {
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    let library = target().join(format!("bench/build/debug/lib{name}.rlib"));
    let bytes = fs::read(&library).map_err(|error| format!("{}: {error}", library.display()))?;
    let symbol = b"9visit_map";
    Ok(bytes.windows(symbol.len()).filter(|window| window == symbol).count())
}

fn rows(seconds: &BTreeMap<(&'static str, usize), f64>) -> Vec<Row> {
    let row = |way| {
        let (one, few) = (seconds[&(way, 1)], seconds[&(way, FEW)]);
        let (hand_one, hand) = (seconds[&(HAND, 1)], seconds[&(HAND, FEW)]);
        Row {
            way,
            one,
            few,
            per_type: per_type(few - one, FEW) * 1000.0,
            ratio: few / hand,
            ratio_per_type: (few - one) / (hand - hand_one),
        }
    };
    [GENERATED, HAND, TYPIFY].map(row).into()
}

#[allow(clippy::cast_precision_loss)] // thousands
fn per_type(seconds: f64, count: usize) -> f64 {
    seconds / (count - 1) as f64
}

/// The median of rounds in which few types are compiled before many and after: many take so long that a machine is not the
/// same at the end.
fn growth(one: f64, few: &Path, many: &Path) -> Result<Growth, String> {
    let mut best = f64::MAX;
    let mut ratios = Vec::new();
    for _ in 0..RUNS {
        let before = compile(few, "--lib")?;
        let seconds = compile(many, "--lib")?;
        let after = compile(few, "--lib")?;
        best = best.min(seconds);
        ratios.push(per_type(seconds - one, MANY) / per_type(f64::midpoint(before, after) - one, FEW));
    }
    ratios.sort_by(f64::total_cmp);
    Ok(Growth { many: best, ratio: ratios[RUNS / 2] })
}

fn exceeded(ours: &Row, growth: &Growth) -> Vec<String> {
    [
        ("processor time, to what is written by hand", ours.ratio, MOST),
        ("processor time a type, to what is written by hand", ours.ratio_per_type, MOST),
        ("processor time a type of many, to one of few", growth.ratio, MOST_GROWTH),
    ]
    .into_iter()
    .filter(|(_, found, most)| found > most)
    .map(|(what, found, most)| format!("{what}: {found:.2}, at most {most}"))
    .collect()
}

/// The schemas of the payload and of what it refers to, by name; a reference begins with `reference`.
fn schemas(count: usize, reference: &str) -> Map<String, Value> {
    let refer = |name: String| json!({ "$ref": format!("{reference}{name}") });
    let mut schemas = Map::new();
    let shelves: Map<String, Value> = (0..count)
        .step_by(NESTED)
        .map(|n| (format!("shelf{n}"), json!({ "type": "array", "maxItems": 100, "items": refer(part(n)) })))
        .collect();
    schemas.insert(
        "Stock".to_owned(),
        json!({ "type": "object", "description": "What is in stock.", "properties": shelves }),
    );
    for n in 0..count {
        let last = if is_last(n, count) {
            json!({ "type": "string", "maxLength": 200, "description": "What else there is to say." })
        } else {
            refer(part(n + 1))
        };
        let schema = json!({
            "type": "object",
            "description": format!("A part of kind {n}."),
            "required": ["id", "partCode", "itemCount", "size", "takenAt"],
            "properties": {
                "id": { "type": "string", "minLength": 1, "maxLength": 36, "description": "Which one it is." },
                "partCode": { "type": "string", "pattern": pattern(n), "description": "What is printed on it." },
                "itemCount": { "type": "integer", "minimum": 0, "maximum": 100_000, "description": "How many there are." },
                "amount": { "type": "number", "minimum": 0, "description": "What one costs." },
                "size": { "type": "string", "enum": ["small", "medium", "large"], "description": "How large it is." },
                "takenAt": { "type": "string", "format": "date-time", "description": "When it was taken." },
                "contact": { "type": "string", "format": "email", "description": "Who knows more." },
                "labels": {
                    "type": "array", "maxItems": 8, "items": { "type": "string" }, "description": "What hangs on it."
                },
                "level": { "type": "integer", "minimum": 1, "maximum": 9, "default": 3, "description": "How high it lies." },
                "rest": last,
            },
        });
        schemas.insert(part(n), schema);
    }
    schemas
}

fn part(n: usize) -> String {
    format!("Part{n}")
}

fn pattern(n: usize) -> String {
    format!("^P{n}-[0-9]{{1,8}}$")
}

/// Whether a type has no other inside.
fn is_last(n: usize, count: usize) -> bool {
    n % NESTED == NESTED - 1 || n + 1 == count
}

/// The package that the command makes: the module, a handler, and a call through dispatch, so that nothing of the module
/// stays generic. Its sender writes payloads.
fn generated(generator: &Path, folder: &Path, count: usize) -> Result<PathBuf, String> {
    let document = json!({
        "asyncapi": "3.0.0",
        "info": { "title": "Stock", "version": "1.0.0" },
        "channels": {
            "stock": {
                "address": "stock",
                "messages": { "stock": { "payload": { "$ref": "#/components/schemas/Stock" } } },
            },
        },
        "operations": {
            "onStock": { "action": "receive", "channel": { "$ref": "#/channels/stock" } },
            "tellStock": { "action": "send", "channel": { "$ref": "#/channels/stock" } },
        },
        "components": { "schemas": schemas(count, "#/components/schemas/") },
    });
    let file = folder.join(format!("generated{count}.json"));
    write(&file, &document.to_string())?;
    let (command, package) = generating(generator, &file, "stock", &[]);
    clear(&package)?;
    output(command)?;
    write(&package.join("src/lib.rs"), IN_USE)?;
    Ok(package)
}

const IN_USE: &str = r"//! The generated module, all of it in use.

#[allow(dead_code, unreachable_pub)]
#[rustfmt::skip]
pub mod stock;

use std::{future::Future, pin::Pin};

use amgi::{Application, Context, Failure, Settlement};
use stock::{App, Stock, StockHandler};

/// Takes what comes.
#[derive(Debug)]
pub struct Desk;

impl StockHandler for Desk {
    type Error = Failure;

    async fn on_stock(&self, _message: Stock, _cx: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

/// One message, from its address to the handler.
pub fn handle<'a>(app: &'a App<Desk>, cx: &'a Context) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
    Box::pin(app.message(cx))
}
";

/// The same types as a person writes them.
fn by_hand(folder: &Path, count: usize) -> Result<PathBuf, String> {
    let mut text = String::from(BY_HAND);
    let shelves = || (0..count).step_by(NESTED);
    let mut members = String::new();
    let mut checks = String::new();
    for n in shelves() {
        // Writing to a string cannot fail.
        let _ = write!(
            members,
            "    /// Member `shelf{n}`.
    #[serde(default, skip_serializing_if = \"Vec::is_empty\")]
    pub shelf{n}: Vec<Part{n}>,
"
        );
        let _ = write!(
            checks,
            "        if self.shelf{n}.len() > 100 {{
            return Err(Error::new(\"shelf{n}\", \"has more than 100 items\"));
        }}
        for (index, part) in self.shelf{n}.iter().enumerate() {{
            part.check().map_err(|error| error.within(&format!(\"shelf{n}/{{index}}\")))?;
        }}
"
        );
    }
    let _ = write!(
        text,
        "
/// What is in stock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stock {{
{members}}}

impl Stock {{
    /// Whether everything is as it must be.
    pub fn check(&self) -> Result<(), Error> {{
{checks}        Ok(())
    }}
}}
"
    );
    for n in 0..count {
        text.push_str(&part_by_hand(n, is_last(n, count)));
    }
    let package = folder.join(format!("hand{count}"));
    let dependencies = format!(
        "amgi = {{ path = {:?} }}\nregress = \"0.12\"\n",
        root().join("runtime/amgi").display().to_string()
    );
    package_of(&package, &dependencies, &text)?;
    Ok(package)
}

fn part_by_hand(n: usize, last: bool) -> String {
    let pattern = pattern(n);
    let (rest, check) = if last {
        (
            "    /// What else there is to say.
    #[serde(skip_serializing_if = \"Option::is_none\")]
    pub rest: Option<String>,
"
            .to_owned(),
            "        if let Some(rest) = &self.rest && rest.chars().count() > 200 {
            return Err(Error::new(\"rest\", \"has more than 200 characters\"));
        }
",
        )
    } else {
        (
            format!(
                "    /// A part of kind {next}.
    #[serde(skip_serializing_if = \"Option::is_none\")]
    pub rest: Option<Part{next}>,
",
                next = n + 1
            ),
            "        if let Some(rest) = &self.rest {
            rest.check().map_err(|error| error.within(\"rest\"))?;
        }
",
        )
    };
    format!(
        "
/// A part of kind {n}.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = \"camelCase\")]
pub struct Part{n} {{
    /// Which one it is.
    pub id: String,
    /// What is printed on it.
    pub part_code: String,
    /// How many there are.
    pub item_count: u32,
    /// What one costs.
    #[serde(skip_serializing_if = \"Option::is_none\")]
    pub amount: Option<f64>,
    /// How large it is.
    pub size: Part{n}Size,
    /// When it was taken.
    pub taken_at: String,
    /// Who knows more.
    #[serde(skip_serializing_if = \"Option::is_none\")]
    pub contact: Option<String>,
    /// What hangs on it.
    #[serde(default, skip_serializing_if = \"Vec::is_empty\")]
    pub labels: Vec<String>,
    /// How high it lies.
    #[serde(default = \"Part{n}::default_level\")]
    pub level: u32,
{rest}}}

/// How large a part of kind {n} is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = \"lowercase\")]
pub enum Part{n}Size {{
    /// `small`
    Small,
    /// `medium`
    Medium,
    /// `large`
    Large,
}}

impl Part{n} {{
    fn default_level() -> u32 {{
        3
    }}

    /// Whether everything is as it must be.
    pub fn check(&self) -> Result<(), Error> {{
        static PART_CODE: LazyLock<Regex> =
            LazyLock::new(|| Regex::with_flags(\"{pattern}\", \"u\").expect(\"the pattern is one\"));
        let length = self.id.chars().count();
        if length < 1 {{
            return Err(Error::new(\"id\", \"has less than 1 character\"));
        }}
        if length > 36 {{
            return Err(Error::new(\"id\", \"has more than 36 characters\"));
        }}
        if PART_CODE.find(&self.part_code).is_none() {{
            return Err(Error::new(\"partCode\", \"does not match the pattern `{pattern}`\"));
        }}
        if self.item_count > 100_000 {{
            return Err(Error::new(\"itemCount\", \"is greater than 100000\"));
        }}
        if let Some(amount) = self.amount && amount < 0.0 {{
            return Err(Error::new(\"amount\", \"is less than 0\"));
        }}
        if !has_format(&self.taken_at, \"date-time\") {{
            return Err(Error::new(\"takenAt\", \"is no point in time\"));
        }}
        if let Some(contact) = &self.contact && !has_format(contact, \"email\") {{
            return Err(Error::new(\"contact\", \"is no address\"));
        }}
        if self.labels.len() > 8 {{
            return Err(Error::new(\"labels\", \"has more than 8 items\"));
        }}
        if self.level < 1 {{
            return Err(Error::new(\"level\", \"is less than 1\"));
        }}
        if self.level > 9 {{
            return Err(Error::new(\"level\", \"is greater than 9\"));
        }}
{check}        Ok(())
    }}
}}
"
    )
}

const BY_HAND: &str = r#"//! What is in stock, as a person writes it.

use std::{fmt, sync::LazyLock};

use amgi::{
    codegen::{At, Violations, format},
    error::Part,
};
use regress::Regex;
use serde::{Deserialize, Serialize};

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Members from the outside in, divided by slashes.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl Error {
    fn new(place: &str, problem: impl Into<String>) -> Self {
        Self { place: place.to_owned(), problem: problem.into() }
    }

    fn within(self, place: &str) -> Self {
        Self { place: format!("{place}/{}", self.place), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl std::error::Error for Error {}

fn has_format(text: &str, name: &'static str) -> bool {
    let out = Violations::new();
    format(&At::root(Part::Payload, &out), text, name);
    out.finish().is_ok()
}

/// Reads and checks.
pub fn decode(bytes: &[u8]) -> Result<Stock, Error> {
    let stock: Stock = serde_json::from_slice(bytes).map_err(|error| Error::new("", error.to_string()))?;
    stock.check()?;
    Ok(stock)
}

/// Checks and writes.
pub fn encode(stock: &Stock) -> Result<Vec<u8>, Error> {
    stock.check()?;
    serde_json::to_vec(stock).map_err(|error| Error::new("", error.to_string()))
}
"#;

/// The same types by typify, which checks texts, and nothing else.
fn by_typify(folder: &Path, count: usize) -> Result<PathBuf, String> {
    let mut definitions = schemas(count, "#/definitions/");
    let mut root = definitions.remove("Stock").unwrap_or_default();
    root["title"] = "Stock".into();
    root["definitions"] = definitions.into();
    let types = typify(&root.to_string())?;
    let text = format!(
        "//! What is in stock, by typify.

#![allow(warnings)]

{types}

/// Reads.
pub fn decode(bytes: &[u8]) -> serde_json::Result<Stock> {{
    serde_json::from_slice(bytes)
}}

/// Writes.
pub fn encode(stock: &Stock) -> serde_json::Result<Vec<u8>> {{
    serde_json::to_vec(stock)
}}
"
    );
    let package = folder.join(format!("typify{count}"));
    package_of(&package, "regress = \"0.12\"\n", &text)?;
    Ok(package)
}

/// A library of one file.
fn package_of(package: &Path, dependencies: &str, text: &str) -> Result<(), String> {
    clear(package)?;
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    let manifest = format!(
        "[package]
name = \"{name}\"
version = \"0.1.0\"
edition = \"2024\"
publish = false

[dependencies]
{dependencies}serde = {{ version = \"1\", features = [\"derive\"] }}
serde_json = \"1\"

[workspace]
"
    );
    write(&package.join("Cargo.toml"), &manifest)?;
    write(&package.join("src/lib.rs"), text)
}

fn table(report: &Report) -> String {
    let mut out = String::from(
        "Seconds of processor time of a debug build, dependencies built, and what a type takes.\n\n",
    );
    let mut line = |cells: [&str; 6]| {
        let [way, one, few, per_type, ratio, per_type_ratio] = cells;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{way:<10} {one:>7} {few:>9} {per_type:>8} {ratio:>6} {per_type_ratio:>15}");
    };
    line(["", "1 type", &format!("{FEW} types"), "ms/type", "ratio", "ratio of a type"]);
    for row in &report.rows {
        line([
            row.way,
            &format!("{:.2}", row.one),
            &format!("{:.2}", row.few),
            &format!("{:.1}", row.per_type),
            &format!("{:.2}", row.ratio),
            &format!("{:.2}", row.ratio_per_type),
        ]);
    }
    let Growth { many, ratio } = report.growth;
    let _ =
        writeln!(out, "\n{MANY} generated types: {many:.2}, a type {ratio:.2} times as much as one of {FEW}");
    out
}
