#![doc = include_str!("../README.md")]

/// Name and text of every template.
const ALL: &[(&str, &str)] = &[
    ("Cargo.toml.jinja", include_str!("../Cargo.toml.jinja")),
    ("README.md.jinja", include_str!("../README.md.jinja")),
    ("bootstrap.rs.jinja", include_str!("../bootstrap.rs.jinja")),
    ("gitignore.jinja", include_str!("../gitignore.jinja")),
    ("handlers.rs.jinja", include_str!("../handlers.rs.jinja")),
    ("lib.rs.jinja", include_str!("../lib.rs.jinja")),
    ("main.rs.jinja", include_str!("../main.rs.jinja")),
    ("module.pyi.jinja", include_str!("../module.pyi.jinja")),
    ("pyproject.toml.jinja", include_str!("../pyproject.toml.jinja")),
    ("python.rs.jinja", include_str!("../python.rs.jinja")),
    ("service_test.rs.jinja", include_str!("../service_test.rs.jinja")),
    ("template.yaml.jinja", include_str!("../template.yaml.jinja")),
];

/// Name and text of every template.
pub fn all() -> &'static [(&'static str, &'static str)] {
    ALL
}

/// Text of the template `name`.
pub fn get(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_template_is_in_the_table() {
        let folder = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
        let mut files: Vec<String> = folder
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "jinja"))
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        let names: Vec<&str> = super::all().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, files);
    }
}
