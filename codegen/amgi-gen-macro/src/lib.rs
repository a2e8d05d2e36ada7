#![doc = include_str!("../README.md")]

use std::path::{Path, PathBuf};

use amgi_asyncapi::diag::Severity;
use amgi_gen::{
    Generation, generate,
    settings::{Settings, check_name},
};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    Ident, LitStr, Token,
    parse::{Parse, ParseStream},
};

/// The document at this path as a module: types, handler traits, senders and the application.
///
/// ```ignore
/// amgi_gen_macro::asyncapi!("specs/user.yaml");            // makes `pub mod user`
/// amgi_gen_macro::asyncapi!("specs/user.yaml", as users);  // makes `pub mod users`
/// ```
///
/// The path is seen from the folder of the package (`CARGO_MANIFEST_DIR`).
#[proc_macro]
pub fn asyncapi(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let base = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    expand(input.into(), &base).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// What the macro is given: a path, and perhaps a name.
struct Input {
    path: LitStr,
    name: Option<Ident>,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let path = input.parse()?;
        let mut name = None;
        if input.parse::<Option<Token![,]>>()?.is_some() && input.parse::<Option<Token![as]>>()?.is_some() {
            name = Some(input.parse()?);
            input.parse::<Option<Token![,]>>()?;
        }
        if input.is_empty() {
            Ok(Self { path, name })
        } else {
            Err(input.error("expected `, as NAME` or nothing"))
        }
    }
}

/// The whole macro, but for where it runs.
fn expand(input: TokenStream, base: &Path) -> syn::Result<TokenStream> {
    let Input { path, name } = syn::parse2(input)?;
    if let Some(name) = &name {
        check_name(&name.to_string()).map_err(|error| syn::Error::new(name.span(), error))?;
    }
    let settings = Settings { name: name.map(|name| name.to_string()), ..Settings::default() };
    let generation = generate(&base.join(path.value()), &settings);
    match &generation.api {
        Some(api) if !generation.diagnostics.has_errors() => {
            let (watched, tokens) = (watch(&generation, base), &generation.tokens);
            let name = Ident::new(&api.name, Span::call_site());
            Ok(quote! {
                #watched
                #[allow(dead_code, unreachable_pub)]
                pub mod #name { #tokens }
            })
        }
        _ => Err(problems(&generation, path.span())),
    }
}

/// Makes the compiler read what we read: a change of it then builds again.
fn watch(generation: &Generation, base: &Path) -> TokenStream {
    let paths = generation.sources.iter().map(|file| {
        // `include_bytes!` would look beside the file that calls us.
        let path = base.join(&file.path);
        std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned()
    });
    quote! { #(const _: &[u8] = ::core::include_bytes!(#paths);)* }
}

/// All errors at once, each a compile error of its own.
fn problems(generation: &Generation, span: Span) -> syn::Error {
    let errors = generation.diagnostics.iter().filter(|problem| problem.severity == Severity::Error);
    errors
        .map(|problem| syn::Error::new(span, generation.sources.render(problem).trim_end()))
        .reduce(|mut all, error| {
            all.combine(error);
            all
        })
        .unwrap_or_else(|| syn::Error::new(span, "the document gives no code, which is a fault of amgi-gen"))
}
