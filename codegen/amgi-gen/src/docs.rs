//! A document's texts as Rust documentation: CommonMark that rustdoc and clippy accept, whatever the author wrote.
//!
//! Nothing is lost; what would be read as a test, a link or a tag is written so that it is shown instead.

use amgi_asyncapi::model::{Docs, Security};

/// Title, summary and description as lines of documentation. `fallback` stands where the document says nothing.
pub(crate) fn lines(docs: &Docs, fallback: &str) -> Vec<String> {
    let mut parts: Vec<&str> = Vec::new();
    for text in
        [docs.summary.as_deref().or(docs.title.as_deref()), docs.description.as_deref()].into_iter().flatten()
    {
        if !text.trim().is_empty() && !parts.contains(&text) {
            parts.push(text);
        }
    }
    let mut out = if parts.is_empty() { vec![fallback.to_owned()] } else { Vec::new() };
    for part in parts {
        if !out.is_empty() {
            out.push(String::new());
        }
        out.extend(clean(part));
    }
    if let Some((url, text)) = &docs.external {
        out.push(String::new());
        out.push(match text {
            Some(text) => format!("See <{url}>: {}", clean(text).join(" ")),
            None => format!("See <{url}>."),
        });
    }
    out
}

/// Text on one line without what would not be seen, or would turn what follows.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|&c| !turns(c)).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Characters that change the direction of the text behind them; rustc refuses them.
fn turns(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The lines of `text`, safe as documentation.
pub(crate) fn clean(text: &str) -> Vec<String> {
    let text: String = text
        .replace("\r\n", "\n")
        .chars()
        .filter(|&c| !turns(c))
        .map(|c| if c == '\r' { '\n' } else { c })
        .collect();
    let mut out: Vec<String> = Vec::new();
    let mut fence: Option<String> = None;
    let mut item: Option<usize> = None;
    for line in text.trim().lines() {
        let line = line.trim_end().replace('\t', "    ");
        let body = line.trim_start();
        if let Some(mark) = &fence {
            let ends = body.starts_with(mark.as_str());
            out.push(line.clone());
            if ends {
                fence = None;
            }
            continue;
        }
        if body.starts_with("```") || body.starts_with("~~~") {
            let mark: String = body.chars().take_while(|&c| c == '`' || c == '~').collect();
            let language = body[mark.len()..].trim();
            // Anything that rustdoc takes for Rust would be compiled and run as a test.
            let harmless = ["json", "yaml", "xml", "text", "sh", "bash", "toml", "http", "sql", "html"];
            out.push(format!("{mark}{}", if harmless.contains(&language) { language } else { "text" }));
            fence = Some(mark);
            item = None;
            continue;
        }
        if body.is_empty() {
            if out.last().is_some_and(|last| !last.is_empty()) {
                out.push(String::new());
            }
            continue;
        }
        let after_blank = out.last().is_none_or(String::is_empty);
        if let Some(width) = list_marker(body) {
            let indent = if item.is_some() { (line.len() - body.len()).min(item.unwrap_or(0)) } else { 0 };
            item = Some(indent + width);
            out.push(format!("{:indent$}{}{}", "", &body[..width], inline(&body[width..])));
            continue;
        }
        if after_blank && line.len() == body.len() {
            item = None;
        }
        let indent = item.unwrap_or(0);
        out.push(format!("{:indent$}{}", "", inline(body)));
    }
    if let Some(mark) = fence {
        out.push(mark);
    }
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    out
}

/// Width of a list marker with its space: `- `, `* `, `1. `.
fn list_marker(body: &str) -> Option<usize> {
    let digits = body.chars().take_while(char::is_ascii_digit).count();
    let rest = &body[digits..];
    let width = if digits == 0 { rest.starts_with(['-', '*', '+']) } else { rest.starts_with(['.', ')']) };
    (width && rest[1..].starts_with(' ') && digits < 4).then_some(digits + 2)
}

/// One line: code spans and links stay, the rest is made harmless.
fn inline(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        if rest.starts_with('`') {
            let ticks = rest.chars().take_while(|&c| c == '`').count();
            let mark = &rest[..ticks];
            if let Some(end) = rest[ticks..].find(mark) {
                let end = ticks + end + ticks;
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            } else {
                out.push_str(&"\\`".repeat(ticks));
                rest = &rest[ticks..];
            }
            continue;
        }
        if let Some(link) = link(rest) {
            out.push_str(link);
            rest = &rest[link.len()..];
            continue;
        }
        if let Some(url) = url(rest) {
            let autolinked = out.ends_with('<') && rest[url.len()..].starts_with('>');
            if autolinked {
                out.push_str(url);
            } else if out.ends_with("\\<") && rest[url.len()..].starts_with('>') {
                out.truncate(out.len() - 2);
                out.extend(["<", url]);
            } else {
                out.extend(["<", url, ">"]);
            }
            rest = &rest[url.len()..];
            continue;
        }
        let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        if word > 0 {
            let (text, tail) = rest.split_at(word);
            let core = text.trim_end_matches(':');
            if is_code(core) {
                out.extend(["`", core, "`", &text[core.len()..]]);
            } else {
                out.push_str(text);
            }
            rest = tail;
            continue;
        }
        let c = rest.chars().next().unwrap_or_default();
        if matches!(c, '<' | '[' | ']') {
            out.push('\\');
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// `[text](target)` at the start, when it is a real link.
fn link(text: &str) -> Option<&str> {
    if !text.starts_with('[') {
        return None;
    }
    let close = text.find("](")?;
    let label = &text[1..close];
    let target = &text[close + 2..];
    let end = target.find(')')?;
    let external = target.starts_with("http://") || target.starts_with("https://");
    (!label.contains(['[', '\n']) && external && !target[..end].contains(' '))
        .then(|| &text[..=close + 2 + end])
}

fn url(text: &str) -> Option<&str> {
    if !(text.starts_with("http://") || text.starts_with("https://")) {
        return None;
    }
    let end = text
        .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ')' | ']' | '`'))
        .unwrap_or(text.len());
    Some(text[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'']))
}

/// Whether a word is an identifier rather than prose: `user_id`, `userId`, `UserId`, `a::b`.
fn is_code(word: &str) -> bool {
    let capitals = word.chars().filter(|c| c.is_uppercase()).count();
    let lower = word.chars().any(char::is_lowercase);
    let camel = lower && capitals > 0 && word.chars().skip(1).any(char::is_uppercase);
    let underscore = word.trim_matches('_').contains('_') || (word.contains("__") && word.len() > 4);
    (camel && word.chars().all(char::is_alphanumeric)) || underscore || word.trim_matches(':').contains("::")
}

/// What one must have to get in, in a line.
pub(crate) fn security(ways: &[Vec<Security>]) -> Option<String> {
    let code = |text: &str| format!("`{}`", text.replace('`', "'"));
    let scheme = |security: &Security| {
        let kind = Some(security.kind.as_str()).filter(|kind| !kind.is_empty());
        let named = match (&security.name, kind) {
            (Some(name), Some(kind)) => format!("{} ({})", code(name), code(kind)),
            (name, kind) => code(name.as_deref().or(kind).unwrap_or("unknown")),
        };
        let scopes: Vec<String> = security.scopes.iter().map(|scope| code(scope)).collect();
        if scopes.is_empty() { named } else { format!("{named}, scope {}", scopes.join(", ")) }
    };
    let way = |way: &Vec<Security>| match way.as_slice() {
        [] => "nothing".to_owned(),
        all => all.iter().map(scheme).collect::<Vec<_>>().join(" with "),
    };
    let ways: Vec<String> = ways.iter().map(way).collect();
    (!ways.is_empty()).then(|| format!("Security: {}.", ways.join(", or ")))
}

#[cfg(test)]
mod tests {
    use amgi_asyncapi::model::Security;

    use super::{clean, security};

    #[test]
    fn security_is_one_line() {
        let document = amgi_asyncapi::load_str(
            "test.yaml",
            "asyncapi: 2.6.0\ninfo: {title: T, version: '1'}\nchannels: {}\nservers:\n  s:\n    url: a\n    \
             protocol: kafka\n    security: [{scram: []}, {key: [read, write], cert: []}, {}]\ncomponents:\n  \
             securitySchemes: {scram: {type: scramSha256}, key: {type: oauth2, flows: {}}, cert: {type: X509}}\n",
        )
        .document;
        let line = security(&document.servers[0].security);
        assert_eq!(
            line.as_deref(),
            Some(
                "Security: `scram` (`scramSha256`), or `key` (`oauth2`), scope `read`, `write` with `cert` (`X509`), or nothing."
            )
        );
        assert_eq!(security(&[]), None);
        let inline = Security {
            name: None,
            kind: "plain".to_owned(),
            description: None,
            scopes: Vec::new(),
            value: document.security_schemes[0].value.clone(),
        };
        assert_eq!(security(&[vec![inline]]).as_deref(), Some("Security: `plain`."));
    }

    #[test]
    fn nothing_is_run_linked_or_hidden() {
        assert_eq!(
            clean("Uses Vec<String> and user_id of userId"),
            ["Uses Vec\\<String> and `user_id` of `userId`"]
        );
        assert_eq!(clean("see https://a.example/x."), ["see <https://a.example/x>."]);
        assert_eq!(clean("[x] and [a](https://b.example)"), ["\\[x\\] and [a](https://b.example)"]);
        assert_eq!(clean("```\nlet x;\n```"), ["```text", "let x;", "```"]);
        assert_eq!(clean("a\n\n    indented"), ["a", "", "indented"]);
        assert_eq!(clean("- one\ntwo\n\nthree"), ["- one", "  two", "", "three"]);
        assert_eq!(clean("`code <b>`"), ["`code <b>`"]);
    }
}
