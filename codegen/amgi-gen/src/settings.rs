//! What a user can choose about the output.
//!
//! Front ends parse into this; nothing below them knows where a choice came from. [`Settings::of`] and
//! [`Runtime::locate`] are the only parts that look at the disk, so that what is planned from the result is the same
//! wherever it is planned.

mod file;

pub use file::schema;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use amgi_asyncapi::{overlay::Overlay, source::Sources};
use quote::ToTokens;
use schemars::JsonSchema;
use serde::Deserialize;
use syn::parse::Parser;

/// Name of the settings file.
pub const FILE: &str = "amgi.toml";

/// Choices for one generation.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Name of the module; by default from the file name, `user.yaml` gives `user`.
    pub name: Option<String>,
    /// Whose side the code is for.
    pub perspective: Perspective,
    /// Edition of the crate that is written.
    pub edition: Edition,
    /// Where the crate that is written finds the runtime.
    pub runtime: Runtime,
    /// Folder of templates that come before the built-in ones.
    pub templates: Option<PathBuf>,
    /// Whether the crate has what AWS Lambda needs also where no server of the document is AWS's own.
    pub lambda: bool,
    /// Whether the crate is a Python module too, for AMGI servers of Python.
    pub python: bool,
    /// Traits that every type of a schema derives, as far as it can; see [`derive()`].
    pub derives: Vec<String>,
    /// Attributes of every type of a schema; see [`attribute`].
    pub attributes: Vec<String>,
    /// Dependencies of the crate that is written beside those it always has: name, and what stands behind `=` in Cargo.toml.
    pub dependencies: Vec<(String, String)>,
    /// Whether `format` is checked.
    pub formats: Formats,
    /// Types for the texts of a format, by its name; one of [`FORMATS`]. Only where formats are checked.
    pub format_types: BTreeMap<String, FormatType>,
    /// What becomes of members that a schema does not name.
    pub additional: Additional,
    /// How numbers are held that 64 bits may not hold.
    pub numbers: Numbers,
    /// Whether structs of schemas have builders.
    pub builders: bool,
    /// The most bytes that a payload may have; by default 16 MiB.
    pub payload_limit: Option<usize>,
    /// How the module is laid out.
    pub layout: Layout,
    /// What a settings file adds to the document, and what is wrong with the file.
    pub overlay: Option<Overlay>,
}

impl Settings {
    /// What the settings file of a document says. Problems of the file are reported with those of the document.
    ///
    /// ```
    /// use amgi_gen::settings::{Config, Settings};
    ///
    /// let settings = Settings::of("specs/user.yaml".as_ref(), &Config::None);
    /// assert_eq!(settings.name, None);
    /// ```
    pub fn of(document: &Path, config: &Config) -> Self {
        match config {
            Config::Beside => {
                let beside = document.with_file_name(FILE);
                if beside.is_file() { file::read(&beside) } else { Self::default() }
            }
            Config::File(path) => file::read(path),
            Config::None => Self::default(),
        }
    }
}

/// Which settings file is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Config {
    /// `amgi.toml` in the folder of the document, when there is one.
    #[default]
    Beside,
    /// The file at this path.
    File(PathBuf),
    /// None.
    None,
}

/// Whether `format` is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Formats {
    /// A text that is not of its format is refused.
    #[default]
    Assert,
    /// It says what is meant, and nothing is refused for it.
    Annotate,
}

/// Formats that generated code checks by itself, so that their texts may have a type.
pub const FORMATS: &[&str] = &[
    "date",
    "date-time",
    "email",
    "ipv4",
    "ipv6",
    "json-pointer",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uuid",
];

/// A type for the texts of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatType {
    /// The type, see [`rust_type`].
    pub ty: String,
    /// Traits that it has beside those that every type has.
    pub derives: Vec<String>,
}

/// What becomes of members that a schema does not name, and does not refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Additional {
    /// They are dropped.
    #[default]
    Drop,
    /// They are kept, in a field of their own, and a member that is missing is told from one that is empty or has its default:
    /// what comes in goes out unchanged.
    Keep,
}

/// How numbers are held that 64 bits may not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Numbers {
    /// As Rust's own types: `i64` where no bound says otherwise, and `f64`. Integers beyond are refused, digits beyond are lost.
    #[default]
    Native,
    /// As `amgi::Number`, which keeps every digit, wherever bounds do not promise that 64 bits do.
    Exact,
}

/// How the generated module is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layout {
    /// Whether the code of a document is divided into modules.
    pub split: Split,
}

/// Whether the code of a document is divided into modules, which are files where a crate is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Above 50 channels or messages.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Always.
    Always,
}

impl Split {
    /// Documents with more channels or messages are large.
    pub(crate) const LARGE: usize = 50;

    /// Whether a document with so many channels or messages is divided.
    pub(crate) fn divides(self, size: usize) -> bool {
        match self {
            Self::Auto => size > Self::LARGE,
            Self::Never => false,
            Self::Always => true,
        }
    }
}

/// A choice that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

/// Checks that `name` can name a Rust module and, by that, a file.
pub fn check_name(name: &str) -> Result<(), SettingsError> {
    // `r#type` would be a module, and an odd file; rustc finds no file by a name that is not ASCII.
    if name.starts_with("r#") || !name.is_ascii() || syn::parse_str::<syn::Ident>(name).is_err() {
        return Err(SettingsError(format!("`{name}` cannot name a Rust module")));
    }
    Ok(())
}

/// The path of a derive macro such as `Eq` or `serde_with::SerializeDisplay`, as tokens are printed.
///
/// ```
/// use amgi_gen::settings::derive;
///
/// assert_eq!(derive("schemars::JsonSchema").unwrap(), "schemars :: JsonSchema");
/// assert!(derive("Eq, Hash").is_err());
/// ```
pub fn derive(text: &str) -> Result<String, SettingsError> {
    let path = syn::Path::parse_mod_style.parse_str(text);
    path.map(|path| path.to_token_stream().to_string())
        .map_err(|_| SettingsError(format!("`{text}` is not the path of a trait that can be derived")))
}

/// An attribute such as `#[non_exhaustive]`, as tokens are printed.
///
/// ```
/// use amgi_gen::settings::attribute;
///
/// assert_eq!(attribute("#[non_exhaustive]").unwrap(), "# [non_exhaustive]");
/// assert!(attribute("non_exhaustive").is_err());
/// ```
pub fn attribute(text: &str) -> Result<String, SettingsError> {
    match syn::Attribute::parse_outer.parse_str(text).as_deref() {
        Ok([one]) => Ok(one.to_token_stream().to_string()),
        _ => Err(SettingsError(format!("`{text}` is not an attribute such as `#[non_exhaustive]`"))),
    }
}

/// A Rust type that can stand anywhere: one with a path, or one of the language and its prelude.
///
/// ```
/// use amgi_gen::settings::rust_type;
///
/// assert_eq!(rust_type("rust_decimal::Decimal").unwrap(), "rust_decimal :: Decimal");
/// assert!(rust_type("Decimal").is_err(), "nothing says where it is");
/// ```
pub fn rust_type(text: &str) -> Result<String, SettingsError> {
    const KNOWN: &[&str] = &[
        "Box", "Option", "String", "Vec", "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8",
        "isize", "u128", "u16", "u32", "u64", "u8", "usize",
    ];
    let Ok(syn::Type::Path(path)) = syn::parse_str::<syn::Type>(text) else {
        return Err(SettingsError(format!("`{text}` is not a type such as `rust_decimal::Decimal`")));
    };
    let segments = &path.path.segments;
    let first = segments.first().map(|segment| segment.ident.to_string()).unwrap_or_default();
    let named = if segments.len() == 1 { KNOWN.contains(&first.as_str()) } else { true };
    // The type is named in a module of the generated one, which are no fixed places.
    if !named || ["self", "super", "Self"].contains(&first.as_str()) {
        return Err(SettingsError(format!(
            "`{text}` does not say where the type is: begin with a crate or `crate`"
        )));
    }
    Ok(path.to_token_stream().to_string())
}

/// Whose side the code is for. A document speaks for the application that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Perspective {
    /// The application that the document describes.
    #[default]
    Application,
    /// Its partner: what the application sends is received here, what it receives is sent, and replies are turned round.
    Peer,
}

impl FromStr for Perspective {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        match text {
            "application" => Ok(Self::Application),
            "peer" => Ok(Self::Peer),
            _ => Err(SettingsError(format!("`{text}` is not a side, use application or peer"))),
        }
    }
}

/// Rust edition of a crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum Edition {
    /// 2021
    #[serde(rename = "2021")]
    E2021,
    /// 2024
    #[serde(rename = "2024")]
    #[default]
    E2024,
}

impl Edition {
    /// As Cargo writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::E2021 => "2021",
            Self::E2024 => "2024",
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Edition {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        [Self::E2021, Self::E2024]
            .into_iter()
            .find(|edition| edition.as_str() == text)
            .ok_or_else(|| SettingsError(format!("`{text}` is not an edition, use 2021 or 2024")))
    }
}

/// Where a crate finds the runtime `amgi`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Runtime {
    /// A path when the crate lies inside the workspace of the runtime, else this generator's own version.
    #[default]
    Auto,
    /// A folder that holds the runtime crates.
    Path(PathBuf),
    /// A version requirement.
    Version(String),
    /// A git repository.
    Git(String),
}

impl FromStr for Runtime {
    type Err = SettingsError;

    /// `https://…`, `git@…` and what ends in `.git` is a repository, `0.1` or `=0.1.0` a version, the rest a path.
    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let is_git = text.contains("://")
            || text.starts_with("git@")
            || Path::new(text).extension().is_some_and(|end| end == "git");
        if text.is_empty() || text.contains(char::is_control) {
            return Err(SettingsError("a path, a version or the address of a git repository".to_owned()));
        }
        if is_git {
            return Ok(Self::Git(text.to_owned()));
        }
        let is_version =
            text.trim_start_matches(['^', '~', '=', '>', '<', ' ']).starts_with(|c: char| c.is_ascii_digit())
                && !text.contains(['/', '\\'])
                && !Path::new(text).is_dir();
        Ok(if is_version { Self::Version(text.to_owned()) } else { Self::Path(text.into()) })
    }
}

impl Runtime {
    /// Settles what a crate in `dir` has to write: [`Auto`](Self::Auto) becomes what it stands for, and a path is
    /// seen from `dir`.
    pub fn locate(&self, dir: &Path) -> Result<Self, SettingsError> {
        let dir = resolved(dir);
        match self {
            Self::Auto => Ok(dir
                .ancestors()
                .skip(1)
                .map(|above| above.join("runtime"))
                .find(|runtime| holds_runtime(runtime))
                .map_or(Self::Auto, |runtime| Self::Path(relative(&runtime, &dir)))),
            Self::Path(path) => {
                let base = resolved(path);
                // The workspace, its folder of crates, or the crate itself: all are meant well.
                let runtime = [base.join("runtime"), base.clone()]
                    .into_iter()
                    .chain(base.parent().map(Path::to_path_buf))
                    .find(|runtime| holds_runtime(runtime));
                match runtime {
                    Some(runtime) if path.is_absolute() => Ok(Self::Path(runtime)),
                    Some(runtime) => Ok(Self::Path(relative(&runtime, &dir))),
                    None => Err(SettingsError(format!("there is no crate `amgi` in `{}`", path.display()))),
                }
            }
            Self::Version(_) | Self::Git(_) => Ok(self.clone()),
        }
    }
}

fn holds_runtime(folder: &Path) -> bool {
    let manifest = folder.join("amgi").join("Cargo.toml");
    let mut sources = Sources::default();
    manifest.is_file()
        && sources.read(&manifest).is_ok()
        && sources.iter().any(|file| file.text.lines().any(|line| line.trim() == "name = \"amgi\""))
}

/// The absolute path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for existing in absolute.ancestors() {
        if let (Ok(real), Ok(rest)) = (existing.canonicalize(), absolute.strip_prefix(existing)) {
            return rest.components().fold(real, |mut path, part| {
                match part {
                    Component::ParentDir => drop(path.pop()),
                    part => path.push(part),
                }
                path
            });
        }
    }
    absolute
}

/// `target` as seen from `from`; both resolved.
fn relative(target: &Path, from: &Path) -> PathBuf {
    let shared = target.components().zip(from.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(target.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_is_told_by_its_form() {
        for version in ["0.1", "^0.1.0", "=0.1.0", ">= 0.1, <0.3", "1"] {
            assert_eq!(version.parse(), Ok(Runtime::Version(version.to_owned())));
        }
        for git in ["https://example.org/amgi", "git@example.org:amgi", "ssh://git@x/y", "../amgi.git"] {
            assert_eq!(git.parse(), Ok(Runtime::Git(git.to_owned())));
        }
        for path in ["../runtime", ".", "/opt/amgi", "0.1/x"] {
            assert_eq!(path.parse(), Ok(Runtime::Path(path.into())));
        }
        assert!("".parse::<Runtime>().is_err());
    }

    #[test]
    fn a_crate_in_this_checkout_finds_the_runtime_by_path() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let located = Runtime::Auto.locate(&root.join("some/where/app")).unwrap();
        assert_eq!(located, Runtime::Path("../../../runtime".into()));
        let outside = Runtime::Auto.locate(Path::new("/nowhere/app")).unwrap();
        assert_eq!(outside, Runtime::Auto);
        for path in [root.join("runtime"), root.clone(), root.join("runtime/amgi")] {
            let Ok(Runtime::Path(found)) = Runtime::Path(path).locate(Path::new("/nowhere/app")) else {
                panic!("not found");
            };
            assert!(found.ends_with("runtime"), "{found:?}");
        }
        assert!(Runtime::Path("/nowhere".into()).locate(Path::new("x")).is_err());
    }

    #[test]
    fn names_are_identifiers() {
        assert!(check_name("user").is_ok());
        for bad in ["", "type", "r#type", "a-b", "../x", "1a", "ä"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
