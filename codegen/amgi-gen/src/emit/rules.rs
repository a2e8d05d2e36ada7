//! Rules to statements. All of them live in the module `wire`, with `codegen` in scope.

use proc_macro2::TokenStream;
use quote::quote;
use serde_json::{Number, Value};

use super::types::number_literal;
use crate::ir::{Rule, Ty};

/// Statements that check `value`, an expression of type `&T`, at `at`, an expression of type `&At`.
pub(super) fn checks(rules: &[Rule], ty: &Ty, value: &TokenStream, at: &TokenStream) -> TokenStream {
    if rules.is_empty() {
        return TokenStream::new();
    }
    match ty {
        Ty::Option(inner) => {
            let inner = checks(rules, inner, &quote!(value), at);
            if inner.is_empty() { inner } else { quote!(if let Some(value) = #value { #inner }) }
        }
        Ty::Box(inner) => checks(rules, inner, &quote!((#value).as_ref()), at),
        _ => rules.iter().map(|rule| check(rule, ty, value, at)).collect(),
    }
}

fn check(rule: &Rule, ty: &Ty, value: &TokenStream, at: &TokenStream) -> TokenStream {
    let limit = |limit: &Option<usize>| match limit {
        Some(most) => {
            let most = proc_macro2::Literal::usize_unsuffixed(*most);
            quote!(#most)
        }
        None => quote!(usize::MAX),
    };
    match (rule, ty) {
        (Rule::Named, Ty::Named(_)) => quote!(codegen::Check::check(#value, #at);),
        (Rule::Length(least, most), Ty::String) => {
            let (least, most) = (proc_macro2::Literal::usize_unsuffixed(*least), limit(most));
            quote!(codegen::length(#at, #value, #least, #most);)
        }
        (Rule::Pattern(source), Ty::String) => quote! {
            {
                static PATTERN: codegen::TextPattern = codegen::TextPattern::new(#source);
                PATTERN.check(#at, #value);
            }
        },
        (Rule::Format(name), Ty::String) => quote!(codegen::format(#at, #value, #name);),
        (Rule::Whole, Ty::Exact) => quote!(codegen::exact(#at, #value, "type", "1");),
        (Rule::Minimum(bound, exclusive), Ty::Exact) => {
            let keyword = if *exclusive { "exclusiveMinimum" } else { "minimum" };
            exact(keyword, bound, value, at)
        }
        (Rule::Maximum(bound, exclusive), Ty::Exact) => {
            let keyword = if *exclusive { "exclusiveMaximum" } else { "maximum" };
            exact(keyword, bound, value, at)
        }
        (Rule::MultipleOf(of), Ty::Exact) => exact("multipleOf", of, value, at),
        (Rule::Minimum(least, exclusive), Ty::Number(name)) => {
            bound(name, least, value, at, *exclusive, true)
        }
        (Rule::Maximum(most, exclusive), Ty::Number(name)) => bound(name, most, value, at, *exclusive, false),
        (Rule::MultipleOf(of), Ty::Number(name)) => {
            let expected = format!("a multiple of {of}");
            let whole = of.as_u64().filter(|_| !name.starts_with('f'));
            let fits = match (name.as_str(), whole) {
                ("i32", Some(of)) => i32::try_from(of).is_ok(),
                ("u32", Some(of)) => u32::try_from(of).is_ok(),
                ("i64", Some(of)) => i64::try_from(of).is_ok(),
                _ => true,
            };
            if !fits {
                // Nothing that the type holds is a multiple but zero.
                quote!(codegen::ensure(#at, *#value == 0, "multipleOf", #expected, #value);)
            } else if let Some(of) = whole {
                let of = proc_macro2::Literal::u64_unsuffixed(of);
                quote!(codegen::ensure(#at, *#value % #of == 0, "multipleOf", #expected, #value);)
            } else {
                let of = number_literal("f64", of);
                let holds = quote!(codegen::is_multiple(*#value as f64, #of));
                quote!(codegen::ensure(#at, #holds, "multipleOf", #expected, #value);)
            }
        }
        (Rule::Size(least, most), Ty::Vec(_) | Ty::Map(_) | Ty::JsonObject) => {
            let (least, most) = (proc_macro2::Literal::usize_unsuffixed(*least), limit(most));
            let function = if matches!(ty, Ty::Vec(_)) { quote!(items) } else { quote!(members) };
            quote!(codegen::#function(#at, #value.len(), #least, #most);)
        }
        (Rule::Unique, Ty::Vec(_)) => {
            quote!(codegen::unique(#at, #value);)
        }
        (Rule::Required(names), Ty::Map(_) | Ty::JsonObject) => {
            quote!(#(codegen::required(#at, #value.contains_key(#names), #names);)*)
        }
        (Rule::OneOf(values), Ty::String) if values.iter().all(Value::is_string) => {
            let texts = values.iter().filter_map(Value::as_str);
            quote!(codegen::texts(#at, #value, &[#(#texts),*]);)
        }
        (Rule::OneOf(values), _) => {
            let json = Value::Array(values.clone()).to_string();
            quote!(codegen::one_of(#at, #value, #json);)
        }
        (Rule::Each(rules), Ty::Vec(inner)) => {
            let inner = checks(rules, inner, &quote!(item), &quote!(&at));
            quote!(for (index, item) in #value.iter().enumerate() { let at = (#at).index(index); #inner })
        }
        (Rule::Each(rules), Ty::Map(inner)) => {
            let inner = checks(rules, inner, &quote!(item), &quote!(&at));
            quote!(for (name, item) in #value { let at = (#at).name(name); #inner })
        }
        _ => TokenStream::new(),
    }
}

/// A rule of a number of any size.
fn exact(keyword: &str, bound: &Number, value: &TokenStream, at: &TokenStream) -> TokenStream {
    let bound = bound.to_string();
    quote!(codegen::exact(#at, #value, #keyword, #bound);)
}

/// `minimum` and `maximum`. A bound beyond the type holds by itself.
fn bound(
    name: &str,
    bound: &Number,
    value: &TokenStream,
    at: &TokenStream,
    exclusive: bool,
    least: bool,
) -> TokenStream {
    let (keyword, words) = match (least, exclusive) {
        (true, false) => ("minimum", "at least"),
        (true, true) => ("exclusiveMinimum", "more than"),
        (false, false) => ("maximum", "at most"),
        (false, true) => ("exclusiveMaximum", "less than"),
    };
    let expected = format!("{words} {bound}");
    let fits = match name {
        "i32" => bound.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        "u32" => bound.as_u64().is_some_and(|n| u32::try_from(n).is_ok()),
        "i64" => bound.is_i64(),
        "u64" => bound.is_u64(),
        _ => true,
    };
    let (left, right) = if fits {
        (quote!(*#value), number_literal(name, bound))
    } else {
        // A fraction, or a bound on the far side: compared as numbers.
        (quote!((*#value as f64)), number_literal("f64", bound))
    };
    // What the type cannot break is no rule, and rustc says so of the comparison.
    let edge = match (name, least) {
        ("i64", true) => bound.as_i64() == Some(i64::MIN),
        ("i64", false) => bound.as_i64() == Some(i64::MAX),
        ("u64", true) => bound.as_u64() == Some(0),
        ("u64", false) => bound.as_u64() == Some(u64::MAX),
        _ => false,
    };
    if edge && !exclusive {
        return TokenStream::new();
    }
    let holds = match (least, exclusive) {
        (true, false) => quote!(#left >= #right),
        (true, true) => quote!(#left > #right),
        (false, false) => quote!(#left <= #right),
        (false, true) => quote!(#left < #right),
    };
    quote!(codegen::ensure(#at, #holds, #keyword, #expected, #value);)
}
