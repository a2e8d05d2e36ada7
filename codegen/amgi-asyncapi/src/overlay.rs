//! Members that something beside the document adds to it, such as a settings file.
//!
//! They are put into the trees before anything is read, so that whatever reads them need not know where they come from.
//! Their places are those in the file that adds them.

use std::{ops::Range, path::PathBuf};

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Span, nearest},
    files::{Files, normal},
    ids::split,
    node::{Entry, Node, Value},
    refs::{reference, tokens},
    source::{Origin, Sources, span_at},
};

/// What a file beside the document adds to it.
///
/// ```
/// use amgi_asyncapi::{Options, load_with, overlay::{Member, Overlay}};
///
/// let text = r##""#/components/schemas/User" = "Customer""##;
/// let member = Member {
///     target: "#/components/schemas/User".to_owned(),
///     target_at: 0..27,
///     key: "x-rust-name".to_owned(),
///     value: "Customer".into(),
///     at: 30..40,
/// };
/// let overlay =
///     Overlay { path: "amgi.toml".into(), text: text.to_owned(), members: vec![member], ..Overlay::default() };
/// let options = Options { overlay: Some(&overlay), ..Options::default() };
/// let loaded = load_with("user.yaml".as_ref(), &options);
/// assert!(loaded.diagnostics.has_errors(), "there is no such document here");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// The file; targets in it are seen from its folder.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What it adds.
    pub members: Vec<Member>,
    /// What is wrong with it. Of their spans only offset and length count, and those of their labels.
    pub problems: Vec<Diagnostic>,
}

/// A member that is added to an object, in place of one with the same key.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The object, as a reference names it: `#/components/schemas/User` in the document itself, `common.yaml#/User` in a
    /// file that it reads.
    pub target: String,
    /// Where that stands, bytes of the text.
    pub target_at: Range<usize>,
    /// Key of the member, such as `x-rust-name`.
    pub key: String,
    /// Value of the member.
    pub value: serde_json::Value,
    /// Where that stands, bytes of the text.
    pub at: Range<usize>,
}

impl Overlay {
    /// Makes the file known, and reports what is wrong with it.
    pub(crate) fn register(&self, sources: &mut Sources, diags: &mut Diagnostics) -> u32 {
        let file = match sources.add(&self.path, self.text.clone()) {
            Ok(file) => file,
            Err(problem) => {
                let file = problem.span.file;
                diags.push(*problem);
                file
            }
        };
        for problem in &self.problems {
            let placed = |span: Span| self.span(file, span.offset as usize, span.len as usize);
            let mut problem = problem.clone();
            problem.span = placed(problem.span);
            problem.labels.iter_mut().for_each(|label| label.span = placed(label.span));
            diags.push(problem);
        }
        file
    }

    /// Adds the members; `file` is the number of the file that says so.
    pub(crate) fn apply(&self, file: u32, files: &mut Files, sources: &Sources, diags: &mut Diagnostics) {
        for member in &self.members {
            let at = self.span(file, member.target_at.start, member.target_at.len());
            let (address, pointer) = split(&member.target);
            let Some(root) = self.file(address, files, sources) else { continue };
            let Some(tokens) = tokens(pointer).filter(|tokens| !tokens.is_empty()) else {
                let message = format!("`{}` names no object of a document", member.target);
                diags.push(
                    Diagnostic::error(codes::SETTINGS_TARGET, at, message)
                        .help("write a JSON pointer, such as `#/components/schemas/Name`"),
                );
                continue;
            };
            match find(files.tree_mut(root), &tokens) {
                Ok(entries) => {
                    let span = self.span(file, member.at.start, member.at.len());
                    let value = node(&member.value, span);
                    match entries.iter_mut().find(|entry| entry.key == member.key) {
                        Some(entry) => entry.value = value,
                        None => entries.push(Entry { key: member.key.clone(), key_span: at, value }),
                    }
                }
                Err(help) => {
                    let message = format!("`{}` names no object of the document", member.target);
                    let problem = Diagnostic::warning(codes::SETTINGS_TARGET, at, message);
                    diags.push(match help {
                        Some(help) => problem.help(help),
                        None => problem,
                    });
                }
            }
        }
    }

    /// The number of the file that `address` means; `None` when it is no part of the document.
    fn file(&self, address: &str, files: &Files, sources: &Sources) -> Option<u32> {
        if address.is_empty() {
            return Some(0);
        }
        let absolute = |path: PathBuf| normal(&std::path::absolute(&path).unwrap_or(path));
        let wanted = absolute(self.path.with_file_name("").join(address));
        let known = sources
            .iter()
            .position(|file| file.origin == Origin::Local && absolute(file.path.clone()) == wanted)?;
        u32::try_from(known).ok().filter(|file| files.has(*file))
    }

    fn span(&self, file: u32, offset: usize, len: usize) -> Span {
        if self.text.is_empty() {
            return Span { file, ..Span::default() };
        }
        let offset = (0..=offset.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at));
        let span = span_at(file, &self.text, offset.unwrap_or_default());
        Span { len: u32::try_from(len).unwrap_or(u32::MAX), ..span }
    }
}

/// The members of the object that `tokens` lead to; what may help where they lead to none.
fn find<'n>(mut node: &'n mut Node, tokens: &[String]) -> Result<&'n mut Vec<Entry>, Option<String>> {
    for token in tokens {
        if let Some(text) = reference(node).and_then(Node::as_str) {
            return Err(Some(format!("on the way there is a reference; start from `{text}`")));
        }
        node = match &mut node.value {
            Value::Object(entries) => {
                let near = nearest(token, entries.iter().map(|entry| entry.key.as_str()));
                let near = near.map(|near| format!("did you mean `{near}` for `{token}`?"));
                match entries.iter_mut().find(|entry| entry.key == *token) {
                    Some(entry) => &mut entry.value,
                    None => return Err(near),
                }
            }
            Value::Array(items) => {
                token.parse::<usize>().ok().and_then(|index| items.get_mut(index)).ok_or(None)?
            }
            _ => return Err(None),
        };
    }
    if let Some(text) = reference(node).and_then(Node::as_str) {
        return Err(Some(format!("there is only a reference; name what it names, `{text}`")));
    }
    match &mut node.value {
        Value::Object(entries) => Ok(entries),
        _ => Err(None),
    }
}

fn node(value: &serde_json::Value, span: Span) -> Node {
    let value = match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => Value::Number(number.clone()),
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(|item| node(item, span)).collect()),
        serde_json::Value::Object(members) => {
            let entry = |(key, value): (&String, &serde_json::Value)| Entry {
                key: key.clone(),
                key_span: span,
                value: node(value, span),
            };
            Value::Object(members.iter().map(entry).collect())
        }
    };
    Node { value, span }
}
