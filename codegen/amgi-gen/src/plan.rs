//! The list of files that a document becomes. Pure: nothing is read but templates, nothing is written.

use std::path::{Path, PathBuf};

use crate::{
    Generation,
    format::{self, FormatError},
    ir::Api,
    scaffold::{self, TemplateError, Templates, View},
    settings::{self, Settings},
};

/// A file that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Path within the folder that is written to.
    pub path: PathBuf,
    /// The whole text.
    pub contents: String,
    /// Whose it is once it is there.
    pub kind: Kind,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The generator's, as long as it carries the marker.
    Generated,
    /// The user's: created once.
    Scaffold,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The document has errors, which are in the [`Generation`].
    #[error("the document has errors")]
    Document,
    /// The module would stand in the way of another.
    #[error("a module cannot be called `{0}` in the crate that is written; choose another with --name")]
    Name(String),
    /// A template is at fault.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The generator is at fault.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Files of the crate that is written: a module of that name would overwrite them.
const FILES: &[&str] = &["bin", "handlers", "main", "lib", "python"];

/// Crates that it uses: a module or package of that name would hide them.
const CRATES: &[&str] = &[
    "alloc",
    "amgi",
    "amgi_amqp",
    "amgi_http",
    "amgi_kafka",
    "amgi_lambda",
    "amgi_mqtt",
    "amgi_nats",
    "amgi_python",
    "amgi_redis",
    "amgi_sqs",
    "core",
    "proc_macro",
    "std",
    "test",
    "tokio",
    "tracing",
    "tracing_subscriber",
];

/// The files of a crate in `dir`. The runtime of `settings` is written as it is, see
/// [`Runtime::locate`](crate::settings::Runtime::locate).
pub fn crate_files(
    generation: &Generation,
    settings: &Settings,
    dir: &Path,
) -> Result<Vec<PlannedFile>, PlanError> {
    let api = generation.api.as_ref().ok_or(PlanError::Document)?;
    if settings::check_name(&api.name).is_err() || FILES.iter().chain(CRATES).any(|taken| *taken == api.name)
    {
        return Err(PlanError::Name(api.name.clone()));
    }
    let templates = Templates::new(settings.templates.as_deref())?;
    let package = package_name(dir, api, settings.python);
    let view = View::new(api, settings, &package);
    let (has_examples, on_lambda, in_python) = (view.has_examples(), view.on_lambda(), view.in_python());
    let types = format!("{}.pyi", view.library());
    let view = view.value();
    let mut files: Vec<PlannedFile> = format::files(api)?
        .into_iter()
        .map(|(path, contents)| PlannedFile {
            path: Path::new("src").join(path),
            contents,
            kind: Kind::Generated,
        })
        .collect();
    for (path, template, kind) in [
        ("Cargo.toml", "Cargo.toml.jinja", Kind::Scaffold),
        (".gitignore", "gitignore.jinja", Kind::Scaffold),
        ("README.md", "README.md.jinja", Kind::Generated),
        ("src/bin/bootstrap.rs", "bootstrap.rs.jinja", Kind::Scaffold),
        ("src/handlers.rs", "handlers.rs.jinja", Kind::Scaffold),
        ("src/lib.rs", "lib.rs.jinja", Kind::Scaffold),
        ("src/main.rs", "main.rs.jinja", Kind::Scaffold),
        ("src/python.rs", "python.rs.jinja", Kind::Scaffold),
        ("pyproject.toml", "pyproject.toml.jinja", Kind::Scaffold),
        (types.as_str(), "module.pyi.jinja", Kind::Generated),
        ("template.yaml", "template.yaml.jinja", Kind::Scaffold),
        ("tests/service.rs", "service_test.rs.jinja", Kind::Scaffold),
    ] {
        let wanted = match path {
            // Without examples it would be a test that cannot fail.
            "tests/service.rs" => has_examples,
            "src/bin/bootstrap.rs" | "template.yaml" => on_lambda,
            "src/python.rs" | "pyproject.toml" => in_python,
            path if path == types => in_python,
            _ => true,
        };
        if !wanted {
            continue;
        }
        let contents = templates.render(template, &view)?;
        if kind == Kind::Generated && !format::is_generated(contents.as_bytes()) {
            let fault = "must print {{ marker }} in its first lines, without which it is written only once";
            return Err(templates.fault(template, fault).into());
        }
        files.push(PlannedFile { path: path.into(), contents, kind });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The generated module alone and the wrapper around it, the way `include_api!` wants them.
pub fn module_files(generation: &Generation) -> Result<Vec<PlannedFile>, PlanError> {
    let api = generation.api.as_ref().ok_or(PlanError::Document)?;
    let name = &api.name;
    let wrapper = format!(
        "// {}\n\n/// {}\n#[allow(dead_code, unreachable_pub)]\npub mod {name} {{\n    \
         include!(concat!(env!(\"OUT_DIR\"), \"/{name}.rs\"));\n}}\n",
        format::marker(api),
        format::module_docs(api)
    );
    Ok(vec![
        PlannedFile {
            path: format!("{name}.rs").into(),
            contents: format::module(api)?,
            kind: Kind::Generated,
        },
        PlannedFile { path: format!("{name}.mod.rs").into(), contents: wrapper, kind: Kind::Generated },
    ])
}

/// A name for Cargo, after the folder: a package that is called like one of its dependencies does not build, and one that is called
/// like a module of Python's is not imported.
fn package_name(dir: &Path, api: &Api, python: bool) -> String {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let folder = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let name: String = folder.chars().map(allowed).collect();
    let name = name.trim_matches('-');
    let name = if name.is_empty() { api.name.trim_start_matches("r#") } else { name };
    let krate = name.replace('-', "_");
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("app-{name}")
    } else if syn::parse_str::<syn::Ident>(&krate).is_err()
        || CRATES.contains(&krate.as_str())
        || python && scaffold::is_taken(&krate)
    {
        format!("{name}-app")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_folder_gives_a_package() {
        let api = Api {
            name: "user".to_owned(),
            title: String::new(),
            version: String::new(),
            description: None,
            source: String::new(),
            digest: String::new(),
            document: String::new(),
            divided: false,
            servers: Vec::new(),
            channels: Vec::new(),
            messages: Vec::new(),
            unions: Vec::new(),
            sends: Vec::new(),
            dispatch: Vec::new(),
            types: Vec::new(),
        };
        for (folder, package) in [
            ("app", "app"),
            ("/tmp/My App", "my-app"),
            ("1st", "app-1st"),
            ("type", "type-app"),
            ("tokio", "tokio-app"),
            ("tracing-subscriber", "tracing-subscriber-app"),
            ("/", "user"),
            ("/tmp/日本", "user"),
        ] {
            assert_eq!(package_name(Path::new(folder), &api, false), package, "{folder}");
        }
        for (folder, package) in [("users", "users"), ("email", "email-app"), ("class", "class-app")] {
            assert_eq!(package_name(Path::new(folder), &api, true), package, "{folder}");
        }
        assert_eq!(package_name(Path::new("email"), &api, false), "email");
    }
}
