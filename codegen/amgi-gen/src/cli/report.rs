//! Diagnostics for people: the place in the document, what is wrong there, and what helps.
//!
//! `file:line:column` is always part of it, so that editors and tools find the place. Text of the document never
//! reaches the terminal with control characters in it.

use std::{borrow::Cow, fmt};

use amgi_asyncapi::{
    diag::{self, Diagnostics},
    source::{SourceFile, Sources},
};
use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteHandler, MietteHandlerOpts, MietteSpanContents,
    ReportHandler, Severity, SourceCode, SourceSpan, SpanContents,
};

/// So many problems are shown with their place in the text; the rest as a line each.
const SHOWN: usize = 50;

/// A longer line, such as a whole document in JSON, hides the problem rather than shows it.
const LONGEST: usize = 400;

/// All `diagnostics` that are at least as bad as `least`.
pub(super) fn text(
    diagnostics: &Diagnostics,
    sources: &Sources,
    least: diag::Severity,
    color: bool,
) -> String {
    let handler = MietteHandlerOpts::new()
        .force_graphical(true)
        .terminal_links(false)
        .color(color)
        .context_lines(2)
        .wrap_lines(false)
        .build();
    let files: Vec<Snippet> = sources.iter().map(Snippet::new).collect();
    let mut out = String::new();
    for (index, problem) in diagnostics.iter().filter(|problem| problem.severity >= least).enumerate() {
        let snippet = files.get(problem.span.file as usize).filter(|snippet| snippet.shows(problem.span));
        match snippet {
            Some(snippet) if index < SHOWN => {
                let shown = Shown { problem, snippet, others: others(problem, sources) };
                out.push_str(&Rendered(&handler, &shown).to_string());
            }
            _ => out.push_str(&sources.render(problem)),
        }
        out.push('\n');
    }
    out
}

/// `2 errors, 1 warning`, and nothing when there is nothing to count.
pub(super) fn counts(diagnostics: &Diagnostics) -> Option<String> {
    let count = |severity, one: &str| {
        let number = diagnostics.iter().filter(|problem| problem.severity == severity).count();
        (number > 0).then(|| format!("{number} {one}{}", if number == 1 { "" } else { "s" }))
    };
    let parts: Vec<String> =
        [count(diag::Severity::Error, "error"), count(diag::Severity::Warning, "warning")]
            .into_iter()
            .flatten()
            .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Labels in other files, which one snippet cannot show.
fn others(problem: &diag::Diagnostic, sources: &Sources) -> String {
    let elsewhere = problem.labels.iter().filter(|label| label.span.file != problem.span.file);
    elsewhere
        .filter_map(|label| {
            let path = sources.get(label.span.file)?.path.display();
            Some(format!("\n{path}:{}:{}: {}", label.span.line, label.span.column, printable(&label.text)))
        })
        .collect()
}

struct Rendered<'a>(&'a MietteHandler, &'a Shown<'a>);

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(self.1, f)
    }
}

/// A problem in the terms of miette.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a diag::Diagnostic,
    snippet: &'a Snippet,
    others: String,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.problem.message))
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!("{}[{}]", self.problem.severity, self.problem.code)))
    }

    fn severity(&self) -> Option<Severity> {
        Some(match self.problem.severity {
            diag::Severity::Error => Severity::Error,
            diag::Severity::Warning => Severity::Warning,
            diag::Severity::Info => Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.problem.help.as_deref().unwrap_or_default();
        let text = format!("{}{}", printable(help), self.others);
        (!text.is_empty()).then(|| Box::new(text.trim_start().to_owned()) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.snippet)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let primary = LabeledSpan::new_primary_with_span(None, self.snippet.range(self.problem.span));
        let file = self.problem.span.file;
        let labels = self.problem.labels.iter().filter(move |label| label.span.file == file).map(|label| {
            LabeledSpan::new_with_span(
                Some(printable(&label.text).into_owned()),
                self.snippet.range(label.span),
            )
        });
        Some(Box::new(std::iter::once(primary).chain(labels)))
    }
}

/// A document and where its lines begin: miette's own reader goes through the whole text for every problem, and
/// counts columns in bytes.
#[derive(Debug)]
struct Snippet {
    name: String,
    text: String,
    lines: Vec<usize>,
}

impl Snippet {
    fn new(file: &SourceFile) -> Self {
        // As many bytes as before, so that offsets stay right.
        let text = file.text.replace(|c: char| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t'), "?");
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name: file.path.display().to_string(), text, lines }
    }

    /// Whether the place is known and its line can be read.
    fn shows(&self, span: diag::Span) -> bool {
        let Some(line) = (span.line as usize).checked_sub(1) else { return false };
        let around = line.saturating_sub(2)..=line + 2;
        line < self.lines.len()
            && span.offset as usize <= self.text.len()
            && around.into_iter().all(|line| self.start(line + 1).saturating_sub(self.start(line)) <= LONGEST)
    }

    /// Offset of a line; the end of the text for a line that is not there.
    fn start(&self, line: usize) -> usize {
        self.lines.get(line).copied().unwrap_or(self.text.len())
    }

    /// The part of `span` on its first line: what it is about is named there, the rest is only long.
    fn range(&self, span: diag::Span) -> SourceSpan {
        let start = (span.offset as usize).min(self.text.len());
        let line_end = self.text[start..].find(['\n', '\r']).map_or(self.text.len(), |length| start + length);
        let end = (start + span.len as usize).min(line_end);
        (start, end - start).into()
    }

    fn line_at(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).saturating_sub(1)
    }
}

impl SourceCode for Snippet {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let first = self.line_at(span.offset());
        let last = self.line_at(span.offset() + span.len());
        let from = first.saturating_sub(before);
        let start = if before == 0 { span.offset() } else { self.start(from) };
        let end = self.start(last + after + 1);
        let data = self.text.as_bytes().get(start..end).ok_or(MietteError::OutOfBounds)?;
        // Without context it is asked for the place itself.
        let column = self.text.get(self.start(first)..span.offset()).filter(|_| before == 0);
        let column = column.map_or(0, |text| text.chars().count());
        let whole = (start, end - start).into();
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            data,
            whole,
            from,
            column,
            self.lines.len(),
        )))
    }
}

pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(
            text.chars()
                .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amgi_asyncapi::diag::{Diagnostic, Span};

    fn report(text: &str, problem: Diagnostic) -> String {
        let mut sources = Sources::default();
        sources.add("specs/user.yaml", text).unwrap();
        sources.add("other.yaml", "x").unwrap();
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(problem);
        super::text(&diagnostics, &sources, diag::Severity::Info, false)
    }

    fn span(line: u32, column: u32, offset: u32, len: u32) -> Span {
        Span { file: 0, line, column, offset, len }
    }

    #[test]
    fn place_code_help_and_labels_are_shown() {
        let other = Span { file: 1, line: 7, column: 3, ..Span::default() };
        let problem =
            Diagnostic::error(amgi_asyncapi::codes::REF_NOT_FOUND, span(3, 4, 14, 3), "what is wrong")
                .help("do this")
                .label(span(1, 1, 0, 3), "because of this")
                .label(other, "and of that");
        let text = report("one\nzwölf\n   xyz\nend\n", problem);
        for part in [
            "error[AG0301]",
            "what is wrong",
            "specs/user.yaml:3:4",
            "do this",
            "because of this",
            "other.yaml:7:3: and of that",
            "zwölf",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn columns_count_characters() {
        let text =
            report("äöü: x\n", Diagnostic::error(amgi_asyncapi::codes::REF_NOT_FOUND, span(1, 6, 8, 1), "m"));
        assert!(text.contains("specs/user.yaml:1:6"), "{text}");
    }

    #[test]
    fn a_place_that_cannot_be_shown_is_still_named() {
        let text = report(
            &"x".repeat(1000),
            Diagnostic::error(amgi_asyncapi::codes::REF_NOT_FOUND, span(1, 501, 500, 1), "m"),
        );
        assert_eq!(text, "specs/user.yaml:1:501: error[AG0301]: m\n\n");
        let text = report(
            "",
            Diagnostic::error(amgi_asyncapi::codes::REF_NOT_FOUND, Span::default(), "there is no file"),
        );
        assert!(text.contains("error[AG0301]: there is no file"), "{text}");
    }

    #[test]
    fn control_characters_stay_out() {
        let text = report(
            "a\u{1b}[31m\n",
            Diagnostic::error(amgi_asyncapi::codes::REF_NOT_FOUND, span(1, 2, 1, 1), "m\u{1b}[0m"),
        );
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn every_span_can_be_shown() {
        let source = "ab\r\ncd\n\n";
        for offset in 0..=10 {
            for len in [0, 1, 5, 100] {
                let text = report(
                    source,
                    Diagnostic::error(
                        amgi_asyncapi::codes::REF_NOT_FOUND,
                        span(1, 1, offset, len),
                        "message",
                    ),
                );
                assert!(text.contains("message"));
            }
        }
    }
}
