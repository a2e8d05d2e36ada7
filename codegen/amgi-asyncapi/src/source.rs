//! The only reader of files: paths, texts and the mapping from a [`Span`] back to both.
//!
//! Reading never panics: what cannot be read becomes a diagnostic, and its path is kept all the same, so that
//! front ends can name it and watch it.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Span},
};

/// Largest file that is read. Far above any real document, far below what hurts.
pub const MAX_BYTES: u64 = 64 << 20;

/// Every file that was read to load one document. The root document is file 0.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<SourceFile>);

/// A file and its text.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path as it was given or resolved.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

impl Sources {
    /// Reads a file and gives its number. A file that cannot be read still gets a number, with an empty text.
    pub fn read(&mut self, path: &Path) -> Result<u32, Box<Diagnostic>> {
        let file = self.push(path.to_path_buf(), String::new());
        let span = Span { file, ..Span::default() };
        let bytes = read_bytes(path).map_err(|e| {
            let name = path.display();
            Box::new(match e.kind() {
                io::ErrorKind::NotFound => {
                    Diagnostic::error(codes::FILE_NOT_FOUND, span, format!("there is no file `{name}`"))
                }
                io::ErrorKind::FileTooLarge => too_large(span),
                io::ErrorKind::IsADirectory => {
                    Diagnostic::error(codes::FILE_UNREADABLE, span, format!("`{name}` is a directory"))
                        .help("name the AsyncAPI document itself")
                }
                _ => Diagnostic::error(codes::FILE_UNREADABLE, span, format!("cannot read `{name}`: {e}")),
            })
        })?;
        match String::from_utf8(bytes) {
            Ok(text) => self.0[file as usize].text = text,
            Err(e) => {
                let upto = e.utf8_error().valid_up_to();
                // The part before the bad byte is text: keep it, so that the place can be shown.
                let mut bytes = e.into_bytes();
                bytes.truncate(upto);
                let text = String::from_utf8(bytes).unwrap_or_default();
                let span = span_at(file, &text, text.len());
                self.0[file as usize].text = text;
                return Err(Box::new(
                    Diagnostic::error(codes::FILE_NOT_UTF8, span, "the file is not valid UTF-8 from here on")
                        .help("save the document as UTF-8"),
                ));
            }
        }
        Ok(file)
    }

    /// Adds a text that does not come from a file, under a name for diagnostics.
    pub fn add(&mut self, name: impl Into<PathBuf>, text: impl Into<String>) -> Result<u32, Box<Diagnostic>> {
        let text = text.into();
        let long = text.len() as u64 > MAX_BYTES;
        let file = self.push(name.into(), if long { String::new() } else { text });
        if long { Err(Box::new(too_large(Span { file, ..Span::default() }))) } else { Ok(file) }
    }

    /// The file that [`Span::file`] names.
    pub fn get(&self, file: u32) -> Option<&SourceFile> {
        self.0.get(file as usize)
    }

    /// All files that were read, the root document first.
    pub fn iter(&self) -> std::slice::Iter<'_, SourceFile> {
        self.0.iter()
    }

    /// One diagnostic as plain text, `file:line:column: error[AG0301]: message` and its help, without colours.
    pub fn render(&self, diagnostic: &Diagnostic) -> String {
        diagnostic.render(|file| self.get(file).map(|f| f.path.display().to_string()))
    }

    /// All diagnostics as plain text, see [`render`](Self::render).
    pub fn report(&self, diagnostics: &Diagnostics) -> String {
        diagnostics.iter().map(|d| self.render(d)).collect()
    }

    fn push(&mut self, path: PathBuf, text: String) -> u32 {
        self.0.push(SourceFile { path, text });
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }
}

impl<'a> IntoIterator for &'a Sources {
    type Item = &'a SourceFile;
    type IntoIter = std::slice::Iter<'a, SourceFile>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // Not the size that the file system claims: a pipe has none, a growing file lies.
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

fn too_large(span: Span) -> Diagnostic {
    Diagnostic::error(
        codes::FILE_TOO_LARGE,
        span,
        format!("the document is larger than {} MiB", MAX_BYTES >> 20),
    )
}

fn span_at(file: u32, text: &str, offset: usize) -> Span {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span {
        file,
        line: number(before.matches('\n').count() + 1),
        column: number(before[line_start..].chars().count() + 1),
        offset: number(offset),
        len: 0,
    }
}
