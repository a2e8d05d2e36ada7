//! `amgi-gen explain CODE`: what a code means, with examples.

use std::fmt::Write as _;

use amgi_asyncapi::diag::{Code, nearest};

use super::paint;
use crate::{codes, diff};

/// Every code, in the order of their ids.
pub(super) fn all() -> Vec<&'static Code> {
    let mut all: Vec<&Code> = amgi_asyncapi::codes::ALL.iter().chain(codes::ALL).collect();
    all.sort_by_key(|code| code.id);
    all
}

/// The code that is called `wanted`, by id or name in letters of either case. Reports what it may have been.
pub(super) fn find(wanted: &str) -> Result<&'static Code, String> {
    let all = all();
    let lower = wanted.to_lowercase();
    if let Some(code) = all.iter().find(|code| code.id.to_lowercase() == lower || code.name == lower) {
        return Ok(code);
    }
    let near = nearest(&lower, all.iter().map(|code| code.name))
        .or_else(|| nearest(wanted, all.iter().map(|code| code.id)));
    Err(match near {
        Some(near) => format!("there is no code `{wanted}`; did you mean `{near}`?"),
        None => format!("there is no code `{wanted}`; `amgi-gen explain` lists them all"),
    })
}

/// What a change is that `diff` reports, by its id.
pub(super) fn change(wanted: &str) -> Option<String> {
    let kind = diff::kinds::ALL.iter().find(|kind| kind.id == wanted.to_lowercase())?;
    let whom = match kind.respect {
        diff::Respect::Wire => {
            "A change on the wire. Which way it breaks depends on who reads: `amgi-gen diff --help`."
        }
        diff::Respect::Code => "A change in code.",
    };
    Some(format!("{}\n\n{}\n\n{whom}\n", kind.id, kind.summary()))
}

/// Id, name and summary of each code, a line each.
pub(super) fn list(color: bool) -> String {
    let all = all();
    let width = all.iter().map(|code| code.name.len()).max().unwrap_or_default();
    let mut out = String::new();
    for code in all {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}  {:width$}  {}", paint(code.id, "1", color), code.name, code.summary());
    }
    out
}

/// The whole explanation. On a terminal, examples stand out by their colour.
pub(super) fn text(code: &Code, color: bool) -> String {
    let mut out = format!("{}: {}\n\n{}\n\n", paint(code.id, "1", color), code.name, code.summary());
    let mut example = false;
    for line in code.text.trim_start().lines() {
        let fence = line.starts_with("```");
        out.push_str(&paint(line, if fence { "2" } else { "36" }, color && (fence || example)));
        out.push('\n');
        example ^= fence;
    }
    out
}

/// Where to read more about the codes in a report; nothing when there are none.
pub(super) fn hint<'a>(codes: impl Iterator<Item = &'a Code>) -> Option<String> {
    let mut ids: Vec<&str> = codes.map(|code| code.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let first = *ids.first()?;
    let others = if ids.len() > 1 { ", and so on for the others" } else { "" };
    Some(format!("For more about {first}: amgi-gen explain {first}{others}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_by_id_and_name() {
        for wanted in ["AG0301", "ag0301", "ref-not-found", "Ref-Not-Found"] {
            assert_eq!(find(wanted).unwrap().id, "AG0301", "{wanted}");
        }
        assert!(find("ref-not-fund").unwrap_err().contains("`ref-not-found`"));
        assert!(find("AG03O1").unwrap_err().contains("`AG0301`"));
        assert!(find("nonsense").unwrap_err().contains("lists them all"));
    }

    #[test]
    fn changes_have_names_of_their_own() {
        assert!(change("Member-Required").unwrap().contains("A member must be there."));
        assert_eq!(change("ref-not-found"), None);
        let mut ids: Vec<&str> = diff::kinds::ALL.iter().map(|kind| kind.id).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(all().iter().all(|code| !ids.contains(&code.name)), "a code is called like a change");
    }

    #[test]
    fn a_hint_names_one_code() {
        let codes = [amgi_asyncapi::codes::REF_NOT_FOUND, amgi_asyncapi::codes::FILE_NOT_FOUND];
        assert_eq!(hint([].into_iter()), None);
        assert_eq!(hint(codes[..1].iter()).unwrap(), "For more about AG0301: amgi-gen explain AG0301\n");
        assert!(hint(codes.iter()).unwrap().starts_with("For more about AG0101: amgi-gen explain AG0101,"));
    }
}
