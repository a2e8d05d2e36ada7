//! Diagnostics: what is wrong with a document, where, and what helps.
//!
//! Every problem has a stable [`Code`], a place and, where we can, a hint. Nothing here prints:
//! front ends render a [`Diagnostic`] as they like.

use std::{
    borrow::Cow,
    collections::HashSet,
    fmt,
    fmt::Write as _,
    hash::{DefaultHasher, Hash, Hasher},
};

/// A place in a source file. Lines and columns count from one; offsets are bytes from the start of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Span {
    /// Which file of the [`Sources`](crate::source::Sources) it lies in.
    pub file: u32,
    /// Line, from one.
    pub line: u32,
    /// Column in characters, from one.
    pub column: u32,
    /// Byte offset of the first character.
    pub offset: u32,
    /// Length in bytes; zero when it is not known.
    pub len: u32,
}

/// How bad it is. Only errors stop generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Code comes out, but perhaps not what was meant.
    Warning,
    /// No code comes out.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A kind of problem. Its id and name are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// What reports show, such as `AG0301`.
    pub id: &'static str,
    /// Speaking name in kebab case, such as `ref-not-found`.
    pub name: &'static str,
    /// The explanation, CommonMark: one sentence, what it means, an example that is wrong, what to do, one that is right.
    pub text: &'static str,
}

impl Code {
    /// What the problem is, the sentence that its explanation begins with.
    pub fn summary(&self) -> &'static str {
        self.text.split("\n\n").next().unwrap_or_default().trim()
    }
}

/// The id.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// Defines a constant for each kind of problem and `ALL`, a list of them in the order of their ids. The comment above a
/// constant is its summary; its explanation is the file `codes/ID.md` beside the file that defines it.
///
/// ```text
/// amgi_asyncapi::codes! {
///     /// Nothing is well.
///     NOTHING_WELL = "XX0001", "nothing-well"; // and codes/XX0001.md
/// }
/// ```
#[macro_export]
macro_rules! codes {
    ($(#[doc = $summary:literal] $constant:ident = $id:literal, $name:literal;)+) => {
        $(
            #[doc = $summary]
            ///
            #[doc = include_str!(concat!("codes/", $id, ".md"))]
            pub const $constant: Code = Code {
                id: $id,
                name: $name,
                text: concat!($summary, "\n\n", include_str!(concat!("codes/", $id, ".md"))),
            };
        )+
        /// All of them, in the order of their ids.
        pub const ALL: &[Code] = &[$($constant),+];
    };
}

/// A second place that explains the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// Why it matters, a few words.
    pub text: String,
}

/// One problem in a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Kind of problem.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Other places that explain it.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message)
    }

    /// A warning at `span`.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message)
    }

    /// A remark at `span`.
    pub fn info(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, span, message)
    }

    fn new(severity: Severity, code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { code, severity, message: message.into(), span, labels: Vec::new(), help: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Plain text without colours: `path:line:column: error[AG0301]: message`, then a line for each label and the help.
    ///
    /// `path` names the file of a [`Span`]; `None` leaves the place out.
    pub fn render(&self, path: impl Fn(u32) -> Option<String>) -> String {
        let place = |span: Span| {
            let name = path(span.file).unwrap_or_default();
            match (name.as_str(), span.line) {
                ("", _) => String::new(),
                (_, 0) => format!("{name}: "),
                (_, line) => format!("{name}:{line}:{}: ", span.column),
            }
        };
        let mut out =
            format!("{}{}[{}]: {}\n", place(self.span), self.severity, self.code, one_line(&self.message));
        // Writing to a string does not fail.
        for label in &self.labels {
            let _ = writeln!(out, "  note: {}{}", place(label.span), one_line(&label.text));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "  help: {}", one_line(help));
        }
        out
    }
}

/// Texts quote the document; a line break or an escape sequence in it must not forge a line of the report.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        let mut out = String::with_capacity(text.len() + 8);
        for c in text.chars() {
            if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
        }
        Cow::Owned(out)
    } else {
        Cow::Borrowed(text)
    }
}

/// Every problem found, in the order of discovery until [`sort`](Diagnostics::sort)ed by place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Hashes of `list`: a broken document can have very many problems, and each is compared with all.
    seen: HashSet<u64>,
}

impl Diagnostics {
    /// Adds one problem. The same problem at the same place is kept once.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let mut hasher = DefaultHasher::new();
        diagnostic.hash(&mut hasher);
        if self.seen.insert(hasher.finish()) {
            self.list.push(diagnostic);
        }
    }

    /// Adds the problems of another stage.
    pub fn extend(&mut self, other: Self) {
        other.list.into_iter().for_each(|d| self.push(d));
    }

    /// Those whose code has this name.
    pub fn with_code<'a>(&'a self, code: &'a str) -> impl Iterator<Item = &'a Diagnostic> {
        self.list.iter().filter(move |d| d.code.name == code)
    }

    /// Whether anything stops generation.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// Orders by file, line and column, so that output is the same on every run.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|d| (d.span.file, d.span.offset, d.span.line, d.span.column, d.code));
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

/// The candidate that `name` was probably meant to be, for "did you mean".
///
/// ```
/// use amgi_asyncapi::diag::nearest;
///
/// assert_eq!(nearest("adress", ["address", "title"]), Some("address"));
/// assert_eq!(nearest("colour", ["address", "title"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long names are not typing mistakes, and the distance is quadratic.
    if name.len() > 200 {
        return None;
    }
    let limit = name.chars().count().div_ceil(3).clamp(1, 4);
    candidates
        .into_iter()
        .filter(|c| c.len().abs_diff(name.len()) <= limit)
        // A document with thousands of wrong names is not helped by thousands of guesses each.
        .take(500)
        .map(|c| (distance(name, c), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Edit distance, letters of either case being equal.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
