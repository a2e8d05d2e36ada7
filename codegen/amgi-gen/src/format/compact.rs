//! Code that only the compiler reads: a line an item, and what is long in lines filled to the width.

use std::fmt::Write as _;

use proc_macro2::{Delimiter, Punct, Spacing, TokenStream, TokenTree};

/// Items of up to so many characters have a line of their own.
const LINE: usize = 1000;

/// How far lines are filled where one is not enough.
const WIDTH: usize = 160;

const KEYWORDS: &[&str] = &["for", "if", "in", "let", "match", "move", "return", "while"];

const INDENT: &str = "    ";

/// Items as text, `depth` modules deep.
pub(super) fn items(tokens: TokenStream, depth: usize) -> String {
    let mut out = String::new();
    for item in elements(tokens, true) {
        let mut line = String::new();
        render(&item, &mut line, depth);
        indent(&mut out, depth);
        out.push_str(&line);
        out.push('\n');
    }
    out
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n(INDENT, depth));
}

/// Divides after what ends an item, a statement or an element of a list.
fn elements(tokens: TokenStream, items: bool) -> Vec<Vec<TokenTree>> {
    let mut all = Vec::new();
    let mut element = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let ends = match &token {
            TokenTree::Punct(punct) => punct.as_char() == ';' || (!items && punct.as_char() == ','),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                // `struct A {} struct B {}`, but not `let A {} = a;` or `match a {}.await`.
                !matches!(tokens.peek(), Some(TokenTree::Punct(_))) && (items || !is_else(tokens.peek()))
            }
            _ => false,
        };
        element.push(token);
        if ends {
            all.push(std::mem::take(&mut element));
        }
    }
    if !element.is_empty() {
        all.push(element);
    }
    all
}

fn is_else(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == "else")
}

/// One element: as a line, or with its longest group opened.
fn render(element: &[TokenTree], out: &mut String, depth: usize) {
    let start = out.len();
    flat(element, out);
    if out.len() - start <= LINE {
        return;
    }
    let length = |token: &TokenTree| {
        let mut text = String::new();
        flat(std::slice::from_ref(token), &mut text);
        text.len()
    };
    let groups = element.iter().enumerate().filter(|(_, token)| matches!(token, TokenTree::Group(_)));
    let Some((place, TokenTree::Group(group))) = groups.max_by_key(|(_, token)| length(token)) else {
        return;
    };
    out.truncate(start);
    let (open, close) = brackets(group.delimiter());
    flat(&element[..place], out);
    if group.delimiter() == Delimiter::Brace && place > 0 {
        out.push(' ');
    }
    out.push_str(open);
    out.push('\n');
    let mut width = 0;
    for part in elements(group.stream(), false) {
        let mut text = String::new();
        render(&part, &mut text, depth + 1);
        if width > 0 && width + text.len() < WIDTH {
            out.push(' ');
        } else {
            if width > 0 {
                out.push('\n');
            }
            indent(out, depth + 1);
            width = 0;
        }
        width += text.len() + 1;
        out.push_str(&text);
    }
    out.push('\n');
    indent(out, depth);
    out.push_str(close);
    flat(&element[place + 1..], out);
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// Tokens on one line, with as few spaces as are good to read; never with fewer than keep them apart.
fn flat(tokens: &[TokenTree], out: &mut String) {
    let mut before = Before::Nothing;
    for (index, token) in tokens.iter().enumerate() {
        if before.is_apart_from(token, tokens.get(index + 1)) {
            out.push(' ');
        }
        match token {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let spaced = group.delimiter() == Delimiter::Brace && !inner.is_empty();
                out.push_str(open);
                if spaced {
                    out.push(' ');
                }
                flat(&inner, out);
                if spaced {
                    out.push(' ');
                }
                out.push_str(close);
            }
            TokenTree::Punct(punct) => out.push(punct.as_char()),
            // Writing to a string cannot fail.
            other => drop(write!(out, "{other}")),
        }
        before = before.then(token);
    }
}

/// What was written last.
enum Before {
    Nothing,
    Group,
    /// An ident or a literal.
    Word,
    /// A keyword that an expression follows.
    Keyword,
    /// Punctuation, and whether it stands behind a value.
    Operator(Operator, bool),
}

/// Punctuation that belongs together, such as `->`; the last character says whether more belongs to it.
#[derive(Clone, Copy)]
struct Operator {
    characters: [char; 3],
    count: usize,
    spacing: Spacing,
}

impl Operator {
    fn new(punct: &Punct) -> Self {
        Self { characters: [punct.as_char(), ' ', ' '], count: 1, spacing: punct.spacing() }
    }

    fn then(mut self, punct: &Punct) -> Self {
        // No operator of Rust has more than three characters.
        if let Some(place) = self.characters.get_mut(self.count) {
            *place = punct.as_char();
            self.count += 1;
        }
        self.spacing = punct.spacing();
        self
    }

    fn characters(&self) -> &[char] {
        &self.characters[..self.count]
    }
}

impl Before {
    fn then(self, token: &TokenTree) -> Self {
        match token {
            TokenTree::Group(_) => Self::Group,
            TokenTree::Ident(ident) if KEYWORDS.iter().any(|keyword| ident == keyword) => Self::Keyword,
            TokenTree::Ident(_) | TokenTree::Literal(_) => Self::Word,
            TokenTree::Punct(punct) => match self {
                Self::Operator(operator, behind) if operator.spacing == Spacing::Joint => {
                    Self::Operator(operator.then(punct), behind)
                }
                before => {
                    let behind = matches!(before, Self::Word | Self::Group);
                    Self::Operator(Operator::new(punct), behind)
                }
            },
        }
    }

    /// Whether a space stands before `token`, which `next` follows.
    fn is_apart_from(&self, token: &TokenTree, next: Option<&TokenTree>) -> bool {
        match (self, token) {
            (Self::Keyword, _) => true,
            (Self::Nothing, _) => false,
            (Self::Operator(operator, _), _) if operator.spacing == Spacing::Joint => false,
            (_, TokenTree::Punct(punct)) if matches!(punct.as_char(), ',' | ';' | '?') => false,
            (Self::Operator(operator, _), TokenTree::Punct(punct)) => {
                // Those that could be read as one stand apart; a reference or parameter in front of a lifetime does not.
                !matches!(
                    (operator.characters(), punct.as_char()),
                    (['&' | '<'], '\'') | (['&'], '*') | ([.., ':' | '?' | '>'], ':' | '.' | '*')
                )
            }
            (Self::Operator(operator, behind), _) => match operator.characters() {
                [',' | ';' | '=' | '+']
                | ['=' | '-', '>']
                | ['=' | '!' | '<' | '>', '=']
                | ['&', '&']
                | ['|', '|'] => true,
                [':' | '|'] => *behind,
                ['>'] | ['>', '>'] => {
                    !matches!(token, TokenTree::Group(group) if group.delimiter() != Delimiter::Brace)
                }
                _ => false,
            },
            (_, TokenTree::Punct(punct)) => match punct.as_char() {
                '=' | '+' | '-' | '*' | '/' | '%' | '&' | '\'' => true,
                '|' => punct.spacing() == Spacing::Joint,
                // A comparison, not the end of type parameters.
                '<' | '>' | '!' => {
                    punct.spacing() == Spacing::Joint
                        && matches!(next, Some(TokenTree::Punct(next)) if next.as_char() == '=')
                }
                _ => false,
            },
            (Self::Word | Self::Group, TokenTree::Group(group)) => {
                matches!(group.delimiter(), Delimiter::Brace | Delimiter::None)
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn an_item_has_a_line() {
        let text = items(
            quote! {
                use a::{b, c};
                codegen::check!(types::A, (value, at) id "id" { codegen::length(at, value, 1, 36)?; });
                impl<'de> A<'de> for B { fn f(&self, x: &'static str) -> Vec<u8> { if a && b >= -1 { x } else { &*y } } }
            },
            1,
        );
        let expected = r#"    use a::{ b, c };
    codegen::check!(types::A, (value, at) id "id" { codegen::length(at, value, 1, 36)?; });
    impl<'de> A<'de> for B { fn f(&self, x: &'static str) -> Vec<u8> { if a && b >= -1 { x } else { &*y } } }
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_read_back_is_the_same() {
        let long = (0..99_u8).map(|n| quote!(("an element", &[1, #n])));
        let tokens = quote! {
            static X: &[(&str, &[u8])] = &[#(#long),*];
            pub(super) async fn f<A: B + C>(a: &A) -> impl Fn(u8) -> u8 + 'static {
                match a { x @ 0..=9 | x if x >= 8 => -x, _ => !a.b().await?, }
                let A { b, .. } = c else { return };
                for (index, item) in &mut value.iter().enumerate() { let at = (at).index(index); }
                move |y| y << 2 & 1 || *z == 1.5
            }
        };
        let text = items(tokens.clone(), 0);
        let read: TokenStream = text.parse().unwrap();
        // Whether `?` and `,` touch means nothing, and is all that may differ.
        let tight = |tokens: TokenStream| tokens.to_string().replace("? ,", "?,");
        assert_eq!(tight(read), tight(tokens));
    }
}
