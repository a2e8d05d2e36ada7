//! From a path or a text to the model: the one way in.
//!
//! Never panics; reports everything that was found, and yields what could be read all the same.

use std::path::Path;

use crate::{
    bindings, bundle, codes,
    diag::{Diagnostic, Diagnostics, Span},
    files::Files,
    model::Document,
    node::{self, Node, Value},
    overlay::Overlay,
    remote::{Fetch, Lock, Remote},
    source::Sources,
    v2, v3, validate,
};

/// Newest minor version of AsyncAPI 2 that is known; there will be no other.
const NEWEST_2: u32 = 6;
/// Newest minor version of AsyncAPI 3 that is known.
const NEWEST_3: u32 = 1;

/// What came of loading.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The document, as far as it could be read. Good for generating only when there are no errors.
    pub document: Document,
    /// Everything that was found, in the order of the text.
    pub diagnostics: Diagnostics,
    /// The files that were read, the document itself first.
    pub sources: Sources,
    /// The lock file as it is to be, when something was fetched that it does not hold.
    pub lock: Option<Lock>,
    /// The document as one JSON text: references into other files lead to what stands in the text, those within the
    /// document are as they were, members are in their order. Without what [`Options::overlay`] adds. Loaded again, it is
    /// the same document.
    pub bundle: String,
}

impl Loaded {
    /// All diagnostics as plain text, see [`Sources::render`].
    pub fn report(&self) -> String {
        self.sources.report(&self.diagnostics)
    }
}

/// What loading may do beyond reading files.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Fetches what the lock file does not hold; nothing is fetched without it.
    pub fetch: Option<&'a dyn Fetch>,
    /// What is added to the document.
    pub overlay: Option<&'a Overlay>,
}

/// Loads the document at `path`, YAML or JSON, and every file that it names. References into the network lead to what
/// the lock file beside the document holds.
pub fn load(path: &Path) -> Loaded {
    load_with(path, &Options::default())
}

/// Loads the document at `path` as [`load`] does, with what `options` allow and add.
pub fn load_with(path: &Path, options: &Options<'_>) -> Loaded {
    let mut sources = Sources::default();
    let file = sources.read(path);
    finish(sources, file, Some(path), options)
}

/// Loads a document from a text; `name` stands for the file in diagnostics. Such a document cannot name other files.
pub fn load_str(name: &str, text: &str) -> Loaded {
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    finish(sources, file, None, &Options::default())
}

fn finish(
    mut sources: Sources,
    file: Result<u32, Box<Diagnostic>>,
    path: Option<&Path>,
    options: &Options<'_>,
) -> Loaded {
    let mut diagnostics = Diagnostics::default();
    let overlay = options.overlay.map(|overlay| (overlay, overlay.register(&mut sources, &mut diagnostics)));
    let mut lock = None;
    let mut bundled = String::new();
    let document = match file {
        Ok(file) => {
            let text = sources.get(file).map_or("", |f| f.text.as_str());
            let root = node::read(text, file, &mut diagnostics);
            if root.is_none() && diagnostics.iter().all(|problem| problem.span.file != file) {
                let span = Span { file, line: 1, column: 1, ..Span::default() };
                diagnostics.push(Diagnostic::error(codes::DOCUMENT_EMPTY, span, "the document is empty"));
            }
            root.map(|root| {
                let mut remote = Remote::new(path, options.fetch, &mut sources, &mut diagnostics);
                let mut files = Files::load(root, path, &mut sources, &mut remote, &mut diagnostics);
                lock = remote.finish();
                bundled = bundle::bundle(&files);
                if let Some((overlay, file)) = overlay {
                    overlay.apply(file, &mut files, &sources, &mut diagnostics);
                }
                let mut document = read(files, &mut diagnostics);
                bindings::check(&mut document, &mut diagnostics);
                document
            })
        }
        Err(problem) => {
            diagnostics.push(*problem);
            None
        }
    };
    diagnostics.sort();
    Loaded { document: document.unwrap_or_default(), diagnostics, sources, lock, bundle: bundled }
}

fn read(mut files: Files, diags: &mut Diagnostics) -> Document {
    match version(files.tree(0), diags) {
        Some(Version::Two { minor }) => {
            validate::v2(&files, minor, diags);
            v2::read(&mut files, diags)
        }
        Some(Version::Three) => {
            validate::v3(&files, diags);
            v3::read(&mut files, diags)
        }
        None => {
            let root = files.tree(0);
            let version = root.get("asyncapi").and_then(Node::as_str).unwrap_or_default().to_string();
            Document { version, ..Document::default() }
        }
    }
}

/// How a document is read.
enum Version {
    Two { minor: u32 },
    Three,
}

/// As what the document is worth reading. One that does not say its version is read as AsyncAPI 3, so that everything
/// else that is wrong with it is reported too.
fn version(root: &Node, diags: &mut Diagnostics) -> Option<Version> {
    if !matches!(root.value, Value::Object(_)) {
        let message = format!("an AsyncAPI document is an object, this is {}", root.kind());
        diags.push(Diagnostic::error(codes::TYPE_MISMATCH, root.span, message));
        return None;
    }
    let Some(entry) = root.entry("asyncapi") else {
        if let Some(other) = ["openapi", "swagger"].iter().find_map(|key| root.entry(key)) {
            diags.push(
                Diagnostic::error(codes::VERSION_UNSUPPORTED, other.key_span, "this is an OpenAPI document")
                    .help("amgi-gen reads AsyncAPI documents, which begin with `asyncapi: 3.1.0`"),
            );
            return None;
        }
        return Some(Version::Three);
    };
    let span = entry.value.span;
    let text = match &entry.value.value {
        Value::String(text) => text.clone(),
        // Validation says that it needs quotes.
        Value::Number(number) => number.to_string(),
        _ => return Some(Version::Three),
    };
    let mut parts = text.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    let (major, minor) = (parts.next().flatten(), parts.next().flatten());
    let mut check = |major: u32, newest: u32| {
        if text.contains('-') {
            diags.push(
                Diagnostic::warning(
                    codes::VERSION_PRERELEASE,
                    span,
                    format!("AsyncAPI {text} is a pre-release"),
                )
                .help("it is read as if it were the release, which may differ"),
            );
        }
        if minor.is_some_and(|minor| minor > newest) {
            let message = format!("AsyncAPI {text} is newer than what is known, {major}.{newest}");
            diags.push(
                Diagnostic::warning(codes::VERSION_NEWER, span, message)
                    .help(format!("it is read as {major}.{newest}; what is new in it is ignored")),
            );
        }
        minor.unwrap_or(newest).min(newest)
    };
    match major {
        Some(3) => {
            check(3, NEWEST_3);
            Some(Version::Three)
        }
        Some(2) => Some(Version::Two { minor: check(2, NEWEST_2) }),
        Some(1) => {
            let message = format!("AsyncAPI {text} is not supported, the oldest that is read is 2.0");
            diags.push(
                Diagnostic::error(codes::VERSION_UNSUPPORTED, span, message)
                    .help("convert the document: `npx @asyncapi/cli convert FILE --target-version 3.0.0`"),
            );
            None
        }
        _ => {
            diags.push(
                Diagnostic::error(
                    codes::VERSION_UNSUPPORTED,
                    span,
                    format!("`{text}` is not a version of AsyncAPI that is known"),
                )
                .help("write the version of the document, such as `asyncapi: 3.1.0`"),
            );
            None
        }
    }
}
