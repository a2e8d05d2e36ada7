#![doc = include_str!("../README.md")]

use std::path::{Path, PathBuf};

use amgi_asyncapi::diag::Severity;
use amgi_gen::{
    Generation, generate,
    settings::{Config, Perspective, Settings, check_name},
};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    Ident, LitStr, Token,
    parse::{Parse, ParseStream},
};

/// The document at this path as a module: types, handler traits, senders and the application.
///
/// ```
/// amgi_gen_macro::asyncapi!("tests/user.yaml");             // makes `pub mod user`
/// amgi_gen_macro::asyncapi!("tests/user.yaml", as people);  // makes `pub mod people`
/// amgi_gen_macro::asyncapi!("tests/user.yaml", as caller, peer);  // for the other side of the conversation
/// # fn main() {}
/// ```
///
/// The path is seen from the folder of the package (`CARGO_MANIFEST_DIR`). An `amgi.toml` in the folder of the document
/// is read, and a change of it builds again; creating one does not.
#[proc_macro]
pub fn asyncapi(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let base = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    expand(input.into(), &base).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// What the macro is given: a path, and perhaps a name and a side.
struct Input {
    path: LitStr,
    name: Option<Ident>,
    perspective: Option<Perspective>,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let path = input.parse()?;
        let (mut name, mut perspective) = (None, None);
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            if name.is_none() && input.parse::<Option<Token![as]>>()?.is_some() {
                name = Some(input.parse()?);
                continue;
            }
            let side: Ident = input.parse()?;
            let parsed = side.to_string().parse().map_err(|_| {
                syn::Error::new(side.span(), "expected `as NAME`, `peer`, `application`, or nothing")
            })?;
            if perspective.replace(parsed).is_some() {
                return Err(syn::Error::new(side.span(), "the side is said twice"));
            }
        }
        if input.is_empty() {
            Ok(Self { path, name, perspective })
        } else {
            Err(input.error("expected `, as NAME`, `, peer` or nothing"))
        }
    }
}

/// The whole macro, but for where it runs.
fn expand(input: TokenStream, base: &Path) -> syn::Result<TokenStream> {
    let Input { path, name, perspective } = syn::parse2(input)?;
    if let Some(name) = &name {
        check_name(&name.to_string()).map_err(|error| syn::Error::new(name.span(), error))?;
    }
    let document = base.join(path.value());
    let mut settings = Settings::of(&document, &Config::Beside);
    settings.name = name.map(|name| name.to_string()).or(settings.name);
    settings.perspective = perspective.unwrap_or(settings.perspective);
    let generation = generate(&document, &settings);
    match &generation.api {
        Some(api) if !generation.diagnostics.has_errors() => {
            let (watched, tokens) = (watch(&generation, base), amgi_gen::emit::module(api));
            // Parsed and not made: that would panic where the generator is wrong about names.
            let name: Ident = syn::parse_str(&api.name)?;
            let docs = amgi_gen::format::module_docs(api);
            Ok(quote! {
                #watched
                #[doc = #docs]
                #[allow(dead_code, unreachable_pub)]
                pub mod #name { #tokens }
            })
        }
        _ => Err(problems(&generation, path.span())),
    }
}

/// Makes the compiler read what we read: a change of it then builds again.
fn watch(generation: &Generation, base: &Path) -> TokenStream {
    let paths = generation.sources.local().map(|file| {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use amgi_gen::{Builder, plan::crate_files};
    use tempfile::TempDir;

    use super::*;

    const DOCUMENT: &str = include_str!("../tests/user.yaml");

    fn folder(document: &str) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("user.yaml"), document).unwrap();
        dir
    }

    /// The items of the module in what the macro expands to.
    fn module(tokens: TokenStream) -> (String, Vec<syn::Item>) {
        let file: syn::File = syn::parse2(tokens).unwrap();
        let module = file.items.into_iter().find_map(|item| match item {
            syn::Item::Mod(module) => Some(module),
            _ => None,
        });
        let module = module.unwrap();
        (module.ident.to_string(), module.content.unwrap().1)
    }

    #[test]
    fn three_ways_give_the_same_code() {
        let dir = folder(DOCUMENT);
        let path = dir.path().join("user.yaml");

        let (name, items) = module(expand(quote!("user.yaml"), dir.path()).unwrap());
        assert_eq!(name, "user");
        let by_macro =
            prettyplease::unparse(&syn::File { shebang: None, frontmatter: None, attrs: Vec::new(), items });

        Builder::new(&path).out_dir(dir.path()).build().unwrap();
        let by_build = fs::read_to_string(dir.path().join("user.rs")).unwrap();

        // What the command writes.
        let settings = Settings::default();
        let plan = crate_files(&generate(&path, &settings), &settings, Path::new("app")).unwrap();
        let by_command =
            plan.into_iter().find(|file| file.path == Path::new("src/user.rs")).unwrap().contents;

        let again = |text: &str| prettyplease::unparse(&syn::parse_file(text).unwrap());
        assert!(by_macro.contains("pub fn app"), "{by_macro}");
        assert_eq!(by_macro, again(&by_build));
        assert_eq!(by_macro, again(&by_command));
    }

    #[test]
    fn every_document_is_watched() {
        let dir = folder(DOCUMENT);
        let text = expand(quote!("user.yaml"), dir.path()).unwrap().to_string();
        let path = dir.path().join("user.yaml");
        assert!(text.contains(&format!("include_bytes ! ({:?})", path.display().to_string())), "{text}");
    }

    #[test]
    fn settings_are_read_and_watched() {
        let dir = folder(DOCUMENT);
        fs::write(dir.path().join("amgi.toml"), "name = \"people\"\nas = \"peer\"\nderives = [\"Eq\"]\n")
            .unwrap();
        let tokens = expand(quote!("user.yaml"), dir.path()).unwrap();
        let text = tokens.to_string();
        let path = dir.path().join("amgi.toml");
        assert!(text.contains(&format!("include_bytes ! ({:?})", path.display().to_string())), "{text}");
        assert!(text.contains("PartialEq , Eq)"), "{text}");
        assert_eq!(module(tokens).0, "people");
        assert_eq!(module(expand(quote!("user.yaml", as other), dir.path()).unwrap()).0, "other");

        fs::write(&path, "nme = 1\nderives = [\"a b\"]\n").unwrap();
        let errors = expand(quote!("user.yaml"), dir.path()).unwrap_err();
        let errors: Vec<String> = errors.into_iter().map(|error| error.to_string()).collect();
        assert_eq!(errors.len(), 2, "{errors:#?}");
        assert!(errors.iter().all(|error| error.contains("amgi.toml:")), "{errors:#?}");
    }

    #[test]
    fn the_module_can_be_named() {
        let dir = folder(DOCUMENT);
        assert_eq!(module(expand(quote!("user.yaml", as people), dir.path()).unwrap()).0, "people");
        for wrong in
            [quote!(), quote!("user.yaml" as x), quote!("user.yaml", people), quote!("user.yaml", as type)]
        {
            assert!(expand(wrong.clone(), dir.path()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_problem_is_a_compile_error() {
        let broken =
            DOCUMENT.replace("channels/created", "channels/creatd").replace("action: send", "action: sent");
        let dir = folder(&broken);
        let errors: Vec<String> = expand(quote!("user.yaml"), dir.path())
            .unwrap_err()
            .into_iter()
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors.len(), 2, "{errors:#?}");
        assert!(errors.iter().all(|error| error.contains("user.yaml:")), "{errors:#?}");
        let missing = expand(quote!("nothing.yaml"), dir.path()).unwrap_err();
        assert!(missing.to_string().contains("there is no file"), "{missing}");
    }
}
