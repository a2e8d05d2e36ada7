//! Whole files from templates: what a person may want to change.
//!
//! A user's folder comes before the built-in templates, and `amgi/NAME` always names the built-in one. What comes out
//! is never parsed and printed again, which would lose comments; Rust is checked and then left as it is.

mod lambda;
mod mermaid;
mod python;
mod view;

use std::{
    error::Error as _,
    path::{Component, Path, PathBuf},
};

use amgi_asyncapi::source::Sources;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig};

pub(crate) use self::{python::is_taken, view::View};

/// A template that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct TemplateError {
    /// File and line of the template.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// The templates of one run.
pub(crate) struct Templates {
    environment: Environment<'static>,
    folder: Option<PathBuf>,
}

impl Templates {
    pub(crate) fn new(folder: Option<&Path>) -> Result<Self, TemplateError> {
        if let Some(folder) = folder
            && !folder.is_dir()
        {
            let place = folder.display().to_string();
            return Err(TemplateError { place, message: "there is no such folder of templates".to_owned() });
        }
        let mut environment = Environment::new();
        if let Ok(syntax) =
            SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()
        {
            environment.set_syntax(syntax);
        }
        // A misspelt name is an error, not an empty place in somebody's manifest.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter("cell", |text: &str| one_line(text).replace('|', "\\|").replace('<', "&lt;"));
        environment.add_filter("code", |text: &str| one_line(text).replace('`', "'"));
        environment.add_filter("docstring", docstring);
        environment.add_filter("line", one_line);
        environment.add_filter("rust", |text: &str| format!("{text:?}"));
        environment.add_filter("shell", shell);
        environment.add_filter("toml", toml);
        environment.add_filter("yaml", yaml);
        let own = folder.map(Path::to_path_buf);
        environment.set_loader(move |name| load(own.as_deref(), name));
        Ok(Self { environment, folder: folder.map(Path::to_path_buf) })
    }

    /// Fills the template `name`.
    pub(crate) fn render(&self, name: &str, view: &Value) -> Result<String, TemplateError> {
        let text = self
            .environment
            .get_template(name)
            .and_then(|template| template.render(view))
            .map_err(|error| self.error(name, &error))?;
        if name.ends_with(".rs.jinja") {
            self.check_rust(name, &text)?;
        }
        // A template may end in blocks that print nothing.
        Ok(format!("{}\n", text.trim_end()))
    }

    /// A template that its author will find; for the README, which would otherwise be taken for the user's.
    pub(crate) fn fault(&self, name: &str, message: impl Into<String>) -> TemplateError {
        TemplateError { place: self.place(name, None), message: message.into() }
    }

    fn check_rust(&self, name: &str, text: &str) -> Result<(), TemplateError> {
        let Err(error) = syn::parse_file(text) else { return Ok(()) };
        let message = format!("gives no valid Rust, {error}{}", line_of(&error, text));
        Err(self.fault(name, message))
    }

    fn place(&self, name: &str, line: Option<usize>) -> String {
        let own = self.folder.as_ref().map(|folder| folder.join(name)).filter(|path| path.is_file());
        let file = own.map_or_else(|| name.to_owned(), |path| path.display().to_string());
        line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"))
    }

    fn error(&self, name: &str, error: &Error) -> TemplateError {
        // The innermost error is in the template that was included or extended, where the fault is.
        let mut inner = error;
        while let Some(next) = inner.source().and_then(<dyn std::error::Error>::downcast_ref::<Error>) {
            inner = next;
        }
        let message = match inner.detail() {
            Some(detail) => format!("{} ({detail})", inner.kind()),
            None => inner.kind().to_string(),
        };
        let line = inner.line().or_else(|| error.line());
        TemplateError { place: self.place(inner.name().or(error.name()).unwrap_or(name), line), message }
    }
}

/// Where the fault is in the text that a template gave. Only the command line pays for places of tokens: elsewhere
/// they would slow down every macro of the user's build.
#[cfg(feature = "cli")]
fn line_of(error: &syn::Error, text: &str) -> String {
    let line = error.span().start().line;
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    format!(" in line {line} of the result: `{}`", shown.trim())
}

#[cfg(not(feature = "cli"))]
fn line_of(_: &syn::Error, _: &str) -> String {
    String::new()
}

/// The text of the template `name`: the user's, else ours.
fn load(folder: Option<&Path>, name: &str) -> Result<Option<String>, Error> {
    if let Some(builtin) = name.strip_prefix("amgi/") {
        return Ok(amgi_templates::get(builtin).map(str::to_owned));
    }
    if let Some(folder) = folder {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        let path = folder.join(name);
        if inside && path.is_file() {
            let mut sources = Sources::default();
            return match sources.read(&path) {
                Ok(file) => Ok(sources.get(file).map(|file| file.text.clone())),
                Err(problem) => Err(Error::new(ErrorKind::InvalidOperation, problem.message)),
            };
        }
    }
    Ok(amgi_templates::get(name).map(str::to_owned))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A word of the shell.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Text of a docstring of Python.
fn docstring(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A basic string of TOML.
fn toml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Control characters are all below U+00A0, TOML's escape has four digits.
            c if c.is_control() => out.extend(["\\u", &format!("{:04X}", u32::from(c))]),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A string of YAML in double quotes, on one line: as JSON has it.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_document_cannot_leave_its_place() {
        assert_eq!(yaml("a\"b\\\n: #"), r#""a\"b\\\n: #""#);
        assert_eq!(toml("a\"b\\\n"), r#""a\"b\\\u000A""#);
        assert_eq!(docstring("a\\\"\"\""), r#"a\\\"\"\""#);
        assert_eq!(one_line("a\n\n# b"), "a # b");
    }

    #[test]
    fn builtin_templates_are_found_under_both_names() {
        for (name, text) in amgi_templates::all() {
            assert_eq!(load(None, name).unwrap().as_deref(), Some(*text));
            assert_eq!(load(None, &format!("amgi/{name}")).unwrap().as_deref(), Some(*text));
        }
        assert_eq!(load(None, "nothing").unwrap(), None);
        assert_eq!(load(Some(Path::new("/tmp")), "../etc/passwd").unwrap(), None);
    }
}
