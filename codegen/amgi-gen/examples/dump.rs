//! dump
fn main() {
    for path in std::env::args().skip(1) {
        let g = amgi_gen::generate(std::path::Path::new(&path), &amgi_gen::settings::Settings::default());
        eprintln!("{}", g.sources.report(&g.diagnostics));
        let text = g.tokens.to_string();
        match syn::parse2::<syn::File>(g.tokens) {
            Ok(f) => println!("{}", prettyplease::unparse(&f)),
            Err(e) => {
                eprintln!("PARSE {path} {e}");
                println!("{text}")
            }
        }
    }
}
