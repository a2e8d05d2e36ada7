//! A folder of documents, and what the official parser says of each.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::tree::Tree;

/// A document of the folder.
#[derive(Debug, Clone)]
pub struct Document {
    /// Where it is.
    pub path: PathBuf,
    /// Its path within the folder.
    pub shown: String,
    /// The official parser's word, where there is one.
    pub verdict: Option<String>,
}

/// The documents of a folder: the rows of its `index.tsv` (columns `file` and `verdict`, split by tabs), or without that
/// every YAML and JSON file below it whose root has `asyncapi`.
///
/// # Errors
/// When the folder or its table cannot be read.
pub fn find(folder: &Path) -> Result<Vec<Document>, String> {
    let table = folder.join("index.tsv");
    let shown = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if !table.exists() {
        let mut found = Vec::new();
        search(folder, &mut found).map_err(|error| shown(folder, &error))?;
        found.sort();
        return Ok(found
            .into_iter()
            .map(|path| Document {
                shown: path.strip_prefix(folder).unwrap_or(&path).display().to_string(),
                path,
                verdict: None,
            })
            .collect());
    }
    let text = fs::read_to_string(&table).map_err(|error| shown(&table, &error))?;
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap_or_default();
    let column = |name: &str| header.iter().position(|column| *column == name);
    let file = column("file").ok_or_else(|| shown(&table, &"no column `file`"))?;
    let verdict = column("verdict");
    Ok(lines
        .filter_map(|row| {
            let name = *row.get(file).filter(|name| !name.is_empty())?;
            let verdict = verdict.and_then(|column| row.get(column)).map(|word| (*word).to_owned());
            Some(Document { path: folder.join(name), shown: name.to_owned(), verdict })
        })
        .collect())
}

fn search(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            search(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|end| ["yml", "yaml", "json"].iter().any(|known| end == *known))
        {
            // What cannot be read is no document as far as anyone can tell.
            let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            if text.is_ok_and(|text| Tree::read(&text).is_ok_and(|tree| tree.get("asyncapi").is_some())) {
                found.push(path);
            }
        }
    }
    Ok(())
}

/// Some of a list, spread evenly over it; always the same.
pub fn sample<T>(list: Vec<T>, count: usize) -> Vec<T> {
    let total = list.len();
    let taken = |index: usize| index * count / total != (index + 1) * count / total;
    list.into_iter().enumerate().filter(|(index, _)| taken(*index)).map(|(_, item)| item).collect()
}

/// A row of a list of accepted disagreements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The document.
    pub document: String,
    /// Word of the official parser.
    pub official: String,
    /// What becomes of it here.
    pub ours: String,
}

/// Reads the table `document | official | ours | sentence` in Markdown.
///
/// # Errors
/// When the file cannot be read, or a row has no sentence.
pub fn accepted(path: &Path) -> Result<Vec<Accepted>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    rows(&text).map_err(|row| {
        format!("{}: a row needs four columns, the last with the sentence: {row}", path.display())
    })
}

fn rows(text: &str) -> Result<Vec<Accepted>, String> {
    let table = text.lines().filter(|line| line.starts_with('|')).skip(2);
    table
        .map(|line| {
            let cells: Vec<&str> =
                line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect();
            match cells.as_slice() {
                [document, official, ours, sentence, ..] if !sentence.is_empty() => Ok(Accepted {
                    document: (*document).to_owned(),
                    official: (*official).to_owned(),
                    ours: (*ours).to_owned(),
                }),
                _ => Err(line.to_owned()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_and_has_its_size() {
        assert_eq!(sample((0..10).collect(), 3), [3, 6, 9]);
        assert_eq!(sample((0..3).collect(), 10), [0, 1, 2]);
        assert!(sample(vec![1, 2], 0).is_empty());
    }

    #[test]
    fn rows_need_a_sentence() {
        let table = "| document | official | ours | sentence |\n|---|---|---|---|\n";
        let row = "| `a/b.yml` | invalid | generated | AsyncAPI 3.0, X: \"may\" |\n";
        let accepted = rows(&format!("# Title\n\n{table}{row}")).expect("it is complete");
        assert_eq!((accepted[0].document.as_str(), accepted[0].ours.as_str()), ("a/b.yml", "generated"));
        assert!(rows(&format!("{table}| `a` | valid | rejected |\n")).is_err());
    }
}
