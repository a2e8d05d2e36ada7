//! `amgi.toml`: the settings file, from its text to [`Settings`], and its JSON Schema.
//!
//! Everything that is wrong is reported at once: what cannot be read is taken out, and the rest is read again. Settings of
//! single objects become members of the document (`x-rust-name` and the like), so that there is one way in which they
//! work.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use amgi_asyncapi::{
    diag::{Code, Diagnostic, Span, nearest},
    overlay::{Member, Overlay},
    source::Sources,
};
use schemars::{JsonSchema, r#gen::SchemaSettings};
use serde::Deserialize;
use serde_json::Value as Json;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer},
};

use super::{
    Additional, Edition, FORMATS, FormatType, Formats, Layout, Numbers, Perspective, Runtime, Settings,
    attribute, check_name, derive, rust_type,
};
use crate::codes;

/// Dependencies that the crate has anyway.
const PRESENT: &[&str] = &["amgi", "tokio", "tracing", "tracing-subscriber"];

/// Settings of amgi-gen, beside an AsyncAPI document. What the command line says wins over them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "amgi.toml")]
struct File {
    /// Name of the generated module. Without it, the name of the document's file.
    #[schemars(with = "Option<String>")]
    name: Option<Spanned<String>>,
    /// Whose side the code is for.
    r#as: Option<Perspective>,
    /// Edition of the crate that is written.
    edition: Option<Edition>,
    /// Where the crate that is written finds `amgi`: a folder (seen from this file), a version, or a git repository.
    #[schemars(with = "Option<String>")]
    runtime: Option<Spanned<String>>,
    /// Folder of templates that come before the built-in ones, seen from this file.
    templates: Option<PathBuf>,
    /// Whether the crate gets what AWS Lambda needs (a binary `bootstrap`, `template.yaml`) also where no server of the document
    /// is AWS's own.
    lambda: bool,
    /// Whether the crate is a Python module too (`src/python.rs`, `pyproject.toml`), for AMGI servers of Python.
    python: bool,
    /// Traits that every type of a schema derives, beside those that it always has: `["Eq", "Hash"]`. One of the standard
    /// library is left out where a type cannot have it.
    #[schemars(with = "Vec<String>")]
    derives: Vec<Spanned<String>>,
    /// Attributes of every type of a schema: `["#[non_exhaustive]"]`.
    #[schemars(with = "Vec<String>")]
    attributes: Vec<Spanned<String>>,
    /// Rust names, as `x-rust-name` in the document gives them: `"#/components/schemas/User" = "Customer"`.
    #[schemars(with = "BTreeMap<String, String>")]
    rust_names: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Settings of single schemas: `[types."#/components/schemas/Money"]`.
    #[schemars(with = "BTreeMap<String, TypeFile>")]
    types: BTreeMap<Spanned<String>, TypeFile>,
    /// Dependencies that `Cargo.toml` gets when it is created, as it takes them: `rust_decimal = "1"`.
    #[schemars(with = "BTreeMap<String, Json>")]
    dependencies: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
    /// Whether a text that is not of its `format` is refused.
    formats: Formats,
    /// Types for the texts of a format: `[format-types.uuid]`. A text is held to its format first, then serde makes it that type.
    #[schemars(with = "BTreeMap<String, FormatFile>")]
    format_types: BTreeMap<Spanned<String>, FormatFile>,
    /// What becomes of members that a schema does not name, and does not refuse.
    additional: Additional,
    /// How numbers are held that 64 bits may not hold.
    numbers: Numbers,
    /// Whether structs of schemas have builders, whose `build()` holds the value to its schema.
    builders: bool,
    /// The most bytes that a payload may have; 16 MiB unless it is said.
    payload_limit: Option<usize>,
    /// How the module is laid out.
    layout: Layout,
}

/// Settings of one schema.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Type")]
struct TypeFile {
    /// The Rust type to use instead of a generated one, as `x-rust-type` in the document gives it:
    /// `rust_decimal::Decimal`.
    #[schemars(with = "Option<String>")]
    r#type: Option<Spanned<String>>,
    /// Traits that the type derives beside those that every type does; of a type that replaces a generated one, traits
    /// that it has.
    #[schemars(with = "Vec<String>")]
    derives: Option<Spanned<Vec<String>>>,
    /// Attributes of the type.
    #[schemars(with = "Vec<String>")]
    attributes: Option<Spanned<Vec<String>>>,
}

/// A type for the texts of a format.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "FormatType")]
struct FormatFile {
    /// The Rust type: `uuid::Uuid`.
    #[schemars(with = "String")]
    r#type: Spanned<String>,
    /// Traits that it has beside those that every type has: `["Copy", "Eq", "Hash"]`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    derives: Vec<Spanned<String>>,
}

/// The JSON Schema of `amgi.toml`, which editors use for completion.
///
/// ```
/// let schema: serde_json::Value = serde_json::from_str(&amgi_gen::settings::schema()).unwrap();
/// assert_eq!(schema["title"], "amgi.toml");
/// ```
pub fn schema() -> String {
    let settings = SchemaSettings::draft07().with(|settings| settings.option_add_null_type = false);
    let schema = settings.into_generator().into_root_schema_for::<File>();
    let mut schema = serde_json::to_value(&schema).unwrap_or_default();
    without_null(&mut schema);
    // Its keys are texts and its values are plain: it can always be written.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// TOML has no null, so it is no default either.
fn without_null(schema: &mut Json) {
    if let Json::Object(members) = schema {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(without_null);
    }
}

/// Reads the settings file at `path`.
pub(super) fn read(path: &Path) -> Settings {
    let mut sources = Sources::default();
    let unread = sources.read(path).err();
    let text = sources.get(0).map(|file| file.text.clone()).unwrap_or_default();
    let mut reader =
        Reader { members: Vec::new(), problems: unread.into_iter().map(|problem| *problem).collect() };
    let file = if reader.problems.is_empty() { reader.parse(&text) } else { File::default() };
    let settings = reader.settings(file, path.parent().unwrap_or(Path::new("")));
    let Reader { members, problems } = reader;
    Settings { overlay: Some(Overlay { path: path.to_path_buf(), text, members, problems }), ..settings }
}

struct Reader {
    members: Vec<Member>,
    problems: Vec<Diagnostic>,
}

impl Reader {
    fn report(&mut self, code: Code, at: &Range<usize>, message: impl Into<String>, help: Option<String>) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let span = Span { offset: number(at.start), len: number(at.len()), ..Span::default() };
        let problem = Diagnostic::error(code, span, message);
        self.problems.push(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    fn parse(&mut self, text: &str) -> File {
        let (mut table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().unwrap_or_default();
            self.report(codes::SETTINGS_SYNTAX, &at, first_line(error.message()), None);
        }
        if !errors.is_empty() {
            return File::default();
        }
        loop {
            let error = match File::deserialize(Deserializer::from(table.clone())) {
                Ok(file) => return file,
                Err(error) => error,
            };
            let at = error.span().unwrap_or_default();
            let message = first_line(error.message());
            let unknown = message.starts_with("unknown field");
            let code = if unknown { codes::SETTINGS_KEY } else { codes::SETTINGS_VALUE };
            let (shown, help) = explained(message);
            self.report(code, &at, shown, help);
            if !remove(table.get_mut(), &at) {
                return File::default();
            }
        }
    }

    fn settings(&mut self, file: File, folder: &Path) -> Settings {
        let name = file.name.and_then(|name| {
            let checked = check_name(name.get_ref());
            self.take(codes::SETTINGS_VALUE, &name.span(), checked.map(|()| name.into_inner()))
        });
        let runtime = file.runtime.and_then(|text| {
            let parsed = text.get_ref().parse::<Runtime>();
            self.take(codes::SETTINGS_VALUE, &text.span(), parsed)
        });
        let runtime = match runtime {
            Some(Runtime::Path(path)) => Runtime::Path(folder.join(path)),
            other => other.unwrap_or_default(),
        };
        let derives = file.derives.into_iter().filter_map(|text| {
            let derived = derive(text.get_ref());
            self.take(codes::RUST_DERIVES, &text.span(), derived)
        });
        let derives = derives.collect();
        let attributes = file.attributes.into_iter().filter_map(|text| {
            let attribute = attribute(text.get_ref());
            self.take(codes::RUST_ATTRIBUTES, &text.span(), attribute)
        });
        let attributes = attributes.collect();
        for (target, name) in file.rust_names {
            let at = name.span();
            self.member(&target, "x-rust-name", name.into_inner().into(), at);
        }
        for (target, of) in file.types {
            let list = |list: Spanned<Vec<String>>| (list.span(), Json::from(list.into_inner()));
            let members = [
                ("x-rust-type", of.r#type.map(|text| (text.span(), text.into_inner().into()))),
                ("x-rust-derives", of.derives.map(list)),
                ("x-rust-attributes", of.attributes.map(list)),
            ];
            for (key, (at, value)) in members.into_iter().filter_map(|(key, found)| Some((key, found?))) {
                self.member(&target, key, value, at);
            }
        }
        let mut format_types = BTreeMap::new();
        for (format, found) in file.format_types {
            if !FORMATS.contains(&format.get_ref().as_str()) {
                let message = format!("texts of the format `{}` cannot have a type", format.get_ref());
                let help = match nearest(format.get_ref(), FORMATS.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("one of {} can", FORMATS.join(", ")),
                };
                self.report(codes::SETTINGS_VALUE, &format.span(), message, Some(help));
                continue;
            }
            let ty = rust_type(found.r#type.get_ref());
            let ty = self.take(codes::RUST_TYPE, &found.r#type.span(), ty);
            let derives = found
                .derives
                .into_iter()
                .filter_map(|text| self.take(codes::RUST_DERIVES, &text.span(), derive(text.get_ref())));
            let derives = derives.collect();
            format_types.extend(ty.map(|ty| (format.into_inner(), FormatType { ty, derives })));
        }
        let dependencies = file.dependencies.into_iter().filter_map(|(name, value)| {
            let at = name.span();
            let checked = dependency(name.get_ref(), value.get_ref());
            self.take(codes::SETTINGS_VALUE, &at, checked)
        });
        Settings {
            dependencies: dependencies.collect(),
            name,
            perspective: file.r#as.unwrap_or_default(),
            edition: file.edition.unwrap_or_default(),
            runtime,
            templates: file.templates.map(|templates| folder.join(templates)),
            lambda: file.lambda,
            python: file.python,
            derives,
            attributes,
            formats: file.formats,
            format_types,
            additional: file.additional,
            numbers: file.numbers,
            builders: file.builders,
            payload_limit: file.payload_limit,
            layout: file.layout,
            overlay: None,
        }
    }

    fn take<T>(&mut self, code: Code, at: &Range<usize>, value: Result<T, impl ToString>) -> Option<T> {
        value.map_err(|error| self.report(code, at, error.to_string(), None)).ok()
    }

    fn member(&mut self, target: &Spanned<String>, key: &str, value: Json, at: Range<usize>) {
        self.members.push(Member {
            target: target.get_ref().clone(),
            target_at: target.span(),
            key: key.to_owned(),
            value,
            at,
        });
    }
}

/// A dependency as a line of `Cargo.toml` has it.
fn dependency(name: &str, value: &toml::Value) -> Result<(String, String), String> {
    let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !named {
        Err(format!("`{name}` is not the name of a crate"))
    } else if PRESENT.contains(&name) {
        Err(format!("the crate depends on `{name}` anyway; change it in its Cargo.toml"))
    } else if !(value.is_str() || value.is_table()) {
        Err("a dependency is a version or a table, as in Cargo.toml".to_owned())
    } else {
        Ok((name.to_owned(), value.to_string()))
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// Serde's message, what is expected taken out of it and made a hint.
fn explained(message: &str) -> (String, Option<String>) {
    let Some((fault, expected)) = message.split_once(", expected ") else {
        return (message.to_owned(), None);
    };
    let quoted =
        |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let (wrong, choices) = (quoted(fault), quoted(expected));
    match wrong.as_slice() {
        [wrong] if fault.starts_with("unknown ") => {
            let near = nearest(wrong, choices.iter().map(String::as_str));
            let help =
                near.map_or_else(|| format!("there is {expected}"), |near| format!("did you mean `{near}`?"));
            let what = if fault.starts_with("unknown field") { "no setting" } else { "no value of this" };
            (format!("`{wrong}` is {what}"), Some(help))
        }
        _ => (fault.to_owned(), Some(format!("expected {expected}"))),
    }
}

/// Takes the entry out of which an error at this place came; whether there was one.
fn remove(table: &mut DeTable<'_>, at: &Range<usize>) -> bool {
    let within = table.iter_mut().any(|(_, value)| match value.get_mut() {
        DeValue::Table(inner) => remove(inner, at),
        _ => false,
    });
    let holds = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    if within {
        return true;
    }
    let mut entries = table.iter();
    let own = entries.find(|(key, value)| holds(key.span()) || holds(value.span()));
    let own = own.map(|(key, _)| key.clone());
    own.is_some_and(|key| table.remove(&key).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Settings, Vec<Member>, Vec<String>) {
        let mut reader = Reader { members: Vec::new(), problems: Vec::new() };
        let file = reader.parse(text);
        let settings = reader.settings(file, Path::new("conf"));
        let shown = |problem: &Diagnostic| {
            let start = problem.span.offset as usize;
            let at = &text[start..start + problem.span.len as usize];
            format!(
                "{} {at}: {} ({})",
                problem.code,
                problem.message,
                problem.help.as_deref().unwrap_or_default()
            )
        };
        (settings, reader.members, reader.problems.iter().map(shown).collect())
    }

    #[test]
    fn everything_is_read() {
        let (settings, members, problems) = parse(
            r##"
            name = "people"
            as = "peer"
            edition = "2021"
            runtime = "../runtime"
            templates = "mine"
            lambda = true
            python = true
            derives = ["Eq", "std::hash::Hash"]
            attributes = ["#[non_exhaustive]"]
            [rust-names]
            "#/components/schemas/User" = "Customer"
            [types."common.yaml#/Money"]
            type = "rust_decimal::Decimal"
            derives = ["Eq"]
            [dependencies]
            rust_decimal = { version = "1", features = ["serde"] }
            uuid = "1"
            [layout]
            split = "never"
            "##,
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!(settings.name.as_deref(), Some("people"));
        assert_eq!((settings.perspective, settings.edition), (Perspective::Peer, Edition::E2021));
        assert_eq!(settings.runtime, Runtime::Path("conf/../runtime".into()));
        assert_eq!(settings.templates, Some("conf/mine".into()));
        assert!(settings.lambda && settings.python);
        assert_eq!(settings.derives, ["Eq", "std :: hash :: Hash"]);
        assert_eq!(settings.attributes, ["# [non_exhaustive]"]);
        let [decimal, uuid] = settings.dependencies.as_slice() else { panic!("{settings:?}") };
        assert_eq!(uuid, &("uuid".to_owned(), "\"1\"".to_owned()));
        assert!(decimal.1.contains("version = \"1\"") && !decimal.1.contains('\n'), "{decimal:?}");
        assert_eq!(settings.layout.split, crate::settings::Split::Never);
        let keys: Vec<_> = members.iter().map(|m| (m.target.as_str(), m.key.as_str())).collect();
        assert_eq!(
            keys,
            [
                ("#/components/schemas/User", "x-rust-name"),
                ("common.yaml#/Money", "x-rust-type"),
                ("common.yaml#/Money", "x-rust-derives"),
            ]
        );
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let (settings, members, problems) = parse(
            r##"
            nmae = "x"
            name = "a-b"
            edition = "2015"
            as = 5
            derives = ["Eq", "a b"]
            attributes = ["non_exhaustive"]
            runtime = ""
            [rust-names]
            "#/a" = 1
            "#/b" = "B"
            [types."#/c"]
            typ = "x"
            [dependencies]
            tokio = "1"
            "a b" = "1"
            x = 1
            "##,
        );
        let start = |text: &str| problems.iter().any(|problem| problem.starts_with(text));
        for part in [
            "AG0803 nmae: `nmae` is no setting (did you mean `name`?)",
            "AG0804 \"a-b\": `a-b` cannot name",
            "AG0804 \"2015\": `2015` is no value of this (",
            "AG0804 5: ",
            "AG0806 \"a b\": ",
            "AG0807 \"non_exhaustive\": ",
            "AG0804 \"\": ",
            "AG0804 1: ",
            "AG0803 typ: `typ` is no setting (did you mean `type`?)",
            "AG0804 tokio: ",
            "AG0804 \"a b\": ",
            "AG0804 x: ",
        ] {
            assert!(start(part), "{part} is not in {problems:#?}");
        }
        assert_eq!(problems.len(), 12, "{problems:#?}");
        assert_eq!(settings.derives, ["Eq"], "what is right is read");
        assert_eq!(members.len(), 1, "{members:?}");
    }

    #[test]
    fn syntax_errors_have_their_place() {
        let (_, _, problems) = parse("name = \n[layout\n");
        assert!(problems.len() >= 2 && problems.iter().all(|p| p.starts_with("AG0802 ")), "{problems:#?}");
    }
}
