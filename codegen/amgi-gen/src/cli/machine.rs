//! Diagnostics for programs: JSON, SARIF 2.1.0, and workflow commands of GitHub.
//!
//! Each is a whole report on standard output, also when there is nothing to report. SARIF is written by hand: the part
//! that we fill is small, and a crate with types for the whole of it would be the larger half.

use std::{
    fmt::Write as _,
    path::{Component, Path},
};

use amgi_asyncapi::{
    diag::{Code, Diagnostic, Diagnostics, Severity, Span},
    source::Sources,
};
use serde_json::{Value, json};

const SARIF_SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// A report that is to be written.
pub(super) struct Report<'a> {
    /// The document, as it was named.
    pub(super) document: &'a Path,
    /// What was found, already without what is not wanted.
    pub(super) diagnostics: &'a Diagnostics,
    pub(super) sources: &'a Sources,
    /// The folder that paths are seen from.
    pub(super) base: &'a Path,
}

/// Where something is, as far as it is known.
pub(super) struct Place {
    pub(super) file: String,
    /// Line and column of the first character and of the one behind the last.
    pub(super) start: Option<(u32, u32)>,
    end: Option<(u32, u32)>,
}

impl Report<'_> {
    /// One JSON object on one line, its members described in the README.
    pub(super) fn json(&self) -> String {
        let diagnostics: Vec<Value> = self
            .diagnostics
            .iter()
            .map(|problem| {
                let mut object = json!({
                    "code": problem.code.id,
                    "name": problem.code.name,
                    "severity": problem.severity.to_string(),
                    "message": problem.message,
                    "help": problem.help,
                    "labels": problem.labels.iter().map(|label| {
                        let mut object = json!({"message": label.text});
                        self.place(label.span).put(&mut object);
                        object
                    }).collect::<Vec<_>>(),
                });
                self.place(problem.span).put(&mut object);
                object
            })
            .collect();
        let count = |severity| self.diagnostics.iter().filter(|problem| problem.severity == severity).count();
        let report = json!({
            "version": 1,
            "tool": {"name": "amgi-gen", "version": env!("CARGO_PKG_VERSION")},
            "document": self.document.to_string_lossy(),
            "errors": count(Severity::Error),
            "warnings": count(Severity::Warning),
            "diagnostics": diagnostics,
        });
        format!("{report}\n")
    }

    /// A SARIF 2.1.0 log with one run. Only rules that results name are listed.
    pub(super) fn sarif(&self) -> String {
        let mut codes: Vec<&Code> = self.diagnostics.iter().map(|problem| &problem.code).collect();
        codes.sort();
        codes.dedup();
        let rules: Vec<Value> = codes
            .iter()
            .map(|code| {
                let meaning = code.text.split("\n\n").nth(1).unwrap_or_default().replace('\n', " ");
                json!({
                    "id": code.id,
                    "name": code.name,
                    "shortDescription": {"text": code.summary()},
                    "fullDescription": {"text": meaning},
                    "help": {"text": code.text.trim(), "markdown": code.text.trim()},
                })
            })
            .collect();
        let results: Vec<Value> = self
            .diagnostics
            .iter()
            .map(|problem| {
                let level = match problem.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                    Severity::Info => "note",
                };
                let related = problem.labels.iter().enumerate().map(|(id, label)| {
                    let mut location = self.place(label.span).location();
                    location["id"] = json!(id);
                    location["message"] = json!({"text": label.text});
                    location
                });
                json!({
                    "ruleId": problem.code.id,
                    "ruleIndex": codes.iter().position(|code| **code == problem.code),
                    "level": level,
                    "message": {"text": with_help(problem)},
                    "locations": [self.place(problem.span).location()],
                    "relatedLocations": related.collect::<Vec<_>>(),
                })
            })
            .collect();
        let log = json!({
            "$schema": SARIF_SCHEMA,
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {
                    "name": "amgi-gen",
                    "version": env!("CARGO_PKG_VERSION"),
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "informationUri": env!("CARGO_PKG_REPOSITORY"),
                    "rules": rules,
                }},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        });
        format!("{log:#}\n")
    }

    /// A workflow command a line, which GitHub shows beside the place.
    pub(super) fn github(&self) -> String {
        let mut out = String::new();
        for problem in self.diagnostics {
            let command = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "notice",
            };
            let place = self.place(problem.span);
            let properties = place.properties();
            let mut text = with_help(problem);
            for label in &problem.labels {
                let place = self.place(label.span);
                let at = place.start.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
                let _ = write!(text, "\n{}{at}: {}", place.file, label.text);
            }
            let _ = writeln!(out, "::{command} {properties},title={}::{}", problem.code, data(&text));
        }
        out
    }

    fn place(&self, span: Span) -> Place {
        place(self.sources, self.base, span)
    }
}

/// Where a span lies, its file seen from the folder `base`.
pub(super) fn place(sources: &Sources, base: &Path, span: Span) -> Place {
    let Some(file) = sources.get(span.file) else {
        return Place { file: String::new(), start: None, end: None };
    };
    let path = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
    let seen = path.strip_prefix(base).unwrap_or(&file.path);
    let start = (span.line > 0).then_some((span.line, span.column));
    let covered =
        file.text.get(span.offset as usize..(span.offset as usize).saturating_add(span.len as usize));
    let end = start.zip(covered.filter(|text| !text.is_empty())).map(|((line, column), text)| {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        match text.rsplit_once('\n') {
            Some((before, last)) => {
                (line + number(before.matches('\n').count() + 1), number(last.chars().count() + 1))
            }
            None => (line, column + number(text.chars().count())),
        }
    });
    Place { file: seen.to_string_lossy().into_owned(), start, end }
}

impl Place {
    pub(super) fn put(&self, object: &mut Value) {
        object["file"] = json!(self.file);
        object["line"] = json!(self.start.map(|(line, _)| line));
        object["column"] = json!(self.start.map(|(_, column)| column));
        object["endLine"] = json!(self.end.map(|(line, _)| line));
        object["endColumn"] = json!(self.end.map(|(_, column)| column));
    }

    /// Properties of a workflow command.
    pub(super) fn properties(&self) -> String {
        let mut properties = format!("file={}", property(&self.file));
        // Writing to a string does not fail.
        if let Some((line, column)) = self.start {
            let _ = write!(properties, ",line={line},col={column}");
        }
        if let Some((line, column)) = self.end {
            // The last column is part of the place here.
            let _ = write!(properties, ",endLine={line},endColumn={}", column.saturating_sub(1).max(1));
        }
        properties
    }

    /// A SARIF location.
    fn location(&self) -> Value {
        let mut physical = json!({"artifactLocation": {"uri": uri(Path::new(&self.file))}});
        if let Some((line, column)) = self.start {
            physical["region"] = json!({"startLine": line, "startColumn": column});
        }
        if let Some((line, column)) = self.end {
            physical["region"]["endLine"] = json!(line);
            physical["region"]["endColumn"] = json!(column);
        }
        json!({"physicalLocation": physical})
    }
}

fn with_help(problem: &Diagnostic) -> String {
    match &problem.help {
        Some(help) => format!("{}\nHelp: {help}", problem.message),
        None => problem.message.clone(),
    }
}

/// A path as a URI: relative where the path is.
fn uri(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::RootDir => parts.push("file://".to_owned()),
            Component::CurDir => {}
            part => parts.push(encoded(&part.as_os_str().to_string_lossy())),
        }
    }
    parts.join("/")
}

/// Percent-encoded but for what a segment of a path may hold (RFC 3986, `pchar`; `:` would make a scheme of it).
fn encoded(segment: &str) -> String {
    segment.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Text of a workflow command.
pub(super) fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Value of a property of a workflow command.
pub(super) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use amgi_asyncapi::codes;

    fn with(problems: Vec<Diagnostic>, check: impl Fn(&Report<'_>)) {
        let base = std::path::absolute(".").unwrap();
        let mut sources = Sources::default();
        sources.add(base.join("specs/my spec, 1.yaml"), "ä: b\nc: d\n").unwrap();
        sources.add("../other.yaml", "x").unwrap();
        sources.add("/elsewhere/a%.yaml", "x").unwrap();
        let mut diagnostics = Diagnostics::default();
        for problem in problems {
            diagnostics.push(problem);
        }
        let document = Path::new("specs/my spec, 1.yaml");
        check(&Report { document, diagnostics: &diagnostics, sources: &sources, base: &base });
    }

    fn span(file: u32, line: u32, column: u32, offset: u32, len: u32) -> Span {
        Span { file, line, column, offset, len }
    }

    fn problems() -> Vec<Diagnostic> {
        vec![
            Diagnostic::error(codes::REF_NOT_FOUND, span(0, 1, 4, 4, 1), "100% wrong")
                .help("line\nbreak")
                .label(span(1, 7, 3, 0, 0), "of this"),
            Diagnostic::warning(codes::FILE_NOT_FOUND, span(2, 0, 0, 0, 0), "gone"),
            Diagnostic::info(codes::REF_NOT_FOUND, span(0, 1, 4, 4, 4), "over two lines"),
        ]
    }

    #[test]
    fn json_says_everything() {
        with(problems(), |report| {
            let json: Value = serde_json::from_str(&report.json()).unwrap();
            assert_eq!(json["document"], "specs/my spec, 1.yaml");
            assert_eq!((&json["errors"], &json["warnings"]), (&json!(1), &json!(1)));
            assert_eq!(
                json["diagnostics"][0],
                json!({
                    "code": "AG0301", "name": "ref-not-found", "severity": "error", "message": "100% wrong",
                    "file": "specs/my spec, 1.yaml", "line": 1, "column": 4, "endLine": 1, "endColumn": 5,
                    "help": "line\nbreak",
                    "labels": [{"message": "of this", "file": "../other.yaml", "line": 7, "column": 3,
                                "endLine": null, "endColumn": null}],
                })
            );
            assert_eq!(json["diagnostics"][1]["line"], Value::Null);
            assert_eq!(json["diagnostics"][2]["endLine"], 2);
            assert_eq!(json["diagnostics"][2]["endColumn"], 3);
        });
        with(Vec::new(), |report| assert!(report.json().contains("\"diagnostics\":[]")));
    }

    /// What the schema of SARIF 2.1.0 asks of a log like ours, and what viewers need beyond that.
    #[test]
    fn sarif_is_well_formed() {
        with(problems(), |report| {
            let log: Value = serde_json::from_str(&report.sarif()).unwrap();
            assert_eq!(log["version"], "2.1.0");
            let [run] = log["runs"].as_array().unwrap().as_slice() else { panic!("{log:#}") };
            let driver = &run["tool"]["driver"];
            assert!(driver["informationUri"].as_str().unwrap().starts_with("https://"));
            let rules = driver["rules"].as_array().unwrap();
            let ids: Vec<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
            assert_eq!(ids, ["AG0101", "AG0301"]);
            for rule in rules {
                for text in ["shortDescription", "fullDescription", "help"] {
                    assert!(!rule[text]["text"].as_str().unwrap().is_empty(), "{text}");
                }
                assert!(rule["help"]["markdown"].as_str().unwrap().contains("```"));
            }
            let results = run["results"].as_array().unwrap();
            assert_eq!(results.len(), 3);
            for result in results {
                let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
                assert_eq!(result["ruleId"], rules[index]["id"]);
                assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
                assert!(!result["message"]["text"].as_str().unwrap().is_empty());
                for location in
                    ["locations", "relatedLocations"].iter().flat_map(|key| result[key].as_array().unwrap())
                {
                    let physical = &location["physicalLocation"];
                    let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
                    assert!(!uri.is_empty() && uri.is_ascii() && !uri.contains([' ', '\\']), "{uri}");
                    if let Some(region) = physical.get("region") {
                        let number = |key: &str| region[key].as_u64();
                        assert!(number("startLine") >= Some(1) && number("startColumn") >= Some(1));
                        assert!(number("endLine").is_none_or(|end| Some(end) >= number("startLine")));
                    }
                }
            }
            let uri = |result: &Value| {
                result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone()
            };
            assert_eq!(uri(&results[0]), "specs/my%20spec,%201.yaml");
            assert_eq!(uri(&results[1]), "file:///elsewhere/a%25.yaml");
            assert_eq!(results[0]["relatedLocations"][0]["message"]["text"], "of this");
            assert!(results[1]["locations"][0]["physicalLocation"].get("region").is_none());
        });
        with(Vec::new(), |report| {
            let log: Value = serde_json::from_str(&report.sarif()).unwrap();
            assert_eq!(log["runs"][0]["results"], json!([]));
        });
    }

    #[test]
    fn workflow_commands_are_a_line_each() {
        with(problems(), |report| {
            let text = report.github();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(
                lines,
                [
                    "::error file=specs/my spec%2C 1.yaml,line=1,col=4,endLine=1,endColumn=4,title=AG0301::\
                     100%25 wrong%0AHelp: line%0Abreak%0A../other.yaml:7:3: of this",
                    "::warning file=/elsewhere/a%25.yaml,title=AG0101::gone",
                    "::notice file=specs/my spec%2C 1.yaml,line=1,col=4,endLine=2,endColumn=2,title=AG0301::\
                     over two lines",
                ]
            );
        });
    }
}
