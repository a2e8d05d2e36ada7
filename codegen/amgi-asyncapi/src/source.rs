//! The only reader of files: paths, texts and the mapping from a [`Span`] back to both.
//!
//! Reading never panics: what cannot be read becomes a diagnostic, and its path is kept all the same, so that
//! front ends can name it and watch it.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    codes,
    diag::{Code, Diagnostic, Diagnostics, Span, nearest},
};

/// Largest file that is read. Far above any real document, far below what hurts.
pub const MAX_BYTES: u64 = 64 << 20;

/// Every file that was read to load one document. The root document is file 0.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<SourceFile>);

/// A file and its text.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path as it was given or resolved; the address of what came from the network.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a text came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A file of the document, or a text that was given.
    Local,
    /// The network: the path is no file.
    Network,
    /// The lock file, which is no part of the document itself.
    Lock,
}

/// Why a file gives no text. It has no place: that is where the file is named.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// The text before the first byte that is not UTF-8.
    before: Option<String>,
}

impl Unreadable {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, before: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The problem where the file is named.
    pub(crate) fn at(&self, span: Span) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(self.code, span, self.message.clone());
        diagnostic.help.clone_from(&self.help);
        diagnostic
    }
}

impl Sources {
    /// Reads a file and gives its number. A file that cannot be read still gets a number, with an empty text.
    pub fn read(&mut self, path: &Path) -> Result<u32, Box<Diagnostic>> {
        match read_text(path) {
            Ok(text) => Ok(self.push(path.to_path_buf(), text, Origin::Local)),
            Err(mut problem) => {
                // The part before a bad byte is text: keep it, so that the place can be shown.
                let before = problem.before.take();
                let file = self.push(path.to_path_buf(), before.clone().unwrap_or_default(), Origin::Local);
                let span = match before {
                    Some(text) => span_at(file, &text, text.len()),
                    None => Span { file, ..Span::default() },
                };
                Err(Box::new(problem.at(span)))
            }
        }
    }

    /// Reads a file that another one names. Only one that can be read gets a number.
    pub(crate) fn read_named(&mut self, path: &Path) -> Result<u32, Unreadable> {
        let problem = match read_text(path) {
            Ok(text) => return Ok(self.push(path.to_path_buf(), text, Origin::Local)),
            Err(problem) => problem,
        };
        let near = if problem.code == codes::FILE_NOT_FOUND { neighbour(path) } else { None };
        Err(match near {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem,
        })
    }

    /// Reads the lock file, where there is one.
    pub(crate) fn read_lock(&mut self, path: &Path) -> Option<u32> {
        // Most documents have none.
        read_text(path).ok().map(|text| self.push(path.to_path_buf(), text, Origin::Lock))
    }

    /// Adds what came from the network.
    pub(crate) fn add_remote(&mut self, address: &str, text: String) -> Result<u32, Unreadable> {
        if text.len() as u64 > MAX_BYTES {
            Err(too_large())
        } else {
            Ok(self.push(address.into(), text, Origin::Network))
        }
    }

    /// Adds a text that does not come from a file, under a name for diagnostics.
    pub fn add(&mut self, name: impl Into<PathBuf>, text: impl Into<String>) -> Result<u32, Box<Diagnostic>> {
        let text = text.into();
        let long = text.len() as u64 > MAX_BYTES;
        let file = self.push(name.into(), if long { String::new() } else { text }, Origin::Local);
        let span = Span { file, ..Span::default() };
        if long { Err(Box::new(too_large().at(span))) } else { Ok(file) }
    }

    /// The file that [`Span::file`] names.
    pub fn get(&self, file: u32) -> Option<&SourceFile> {
        self.0.get(file as usize)
    }

    /// Gives the files other names for diagnostics, such as where they were copied from.
    pub fn rename(&mut self, name: impl Fn(&Path) -> PathBuf) {
        for file in &mut self.0 {
            file.path = name(&file.path);
        }
    }

    /// Files on this machine: what a build must watch.
    pub fn local(&self) -> impl Iterator<Item = &SourceFile> {
        self.0.iter().filter(|file| file.origin != Origin::Network)
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

    fn push(&mut self, path: PathBuf, text: String, origin: Origin) -> u32 {
        self.0.push(SourceFile { path, text, origin });
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

fn read_text(path: &Path) -> Result<String, Unreadable> {
    let name = path.display();
    let bytes = read_bytes(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            Unreadable::new(codes::FILE_NOT_FOUND, format!("there is no file `{name}`"))
        }
        io::ErrorKind::FileTooLarge => too_large(),
        io::ErrorKind::IsADirectory => {
            Unreadable::new(codes::FILE_UNREADABLE, format!("`{name}` is a directory"))
                .help("name a file in it")
        }
        _ => Unreadable::new(codes::FILE_UNREADABLE, format!("cannot read `{name}`: {e}")),
    })?;
    String::from_utf8(bytes).map_err(|e| {
        let upto = e.utf8_error().valid_up_to();
        let mut bytes = e.into_bytes();
        bytes.truncate(upto);
        let problem = Unreadable::new(codes::FILE_NOT_UTF8, "the file is not valid UTF-8 from here on")
            .help("save the document as UTF-8");
        Unreadable { before: String::from_utf8(bytes).ok(), ..problem }
    })
}

/// The file in the same folder that was probably meant.
fn neighbour(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.take(1000).collect();
    names.sort();
    nearest(name, names.iter().map(String::as_str)).map(str::to_string)
}

fn too_large() -> Unreadable {
    Unreadable::new(codes::FILE_TOO_LARGE, format!("the document is larger than {} MiB", MAX_BYTES >> 20))
}

pub(crate) fn span_at(file: u32, text: &str, offset: usize) -> Span {
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
