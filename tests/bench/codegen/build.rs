//! Generates the code under test: the application of a document, and the types that typify makes of a schema.

use std::{error::Error, fs, path::Path};

use amgi_gen::Builder;

#[path = "src/typify.rs"]
mod peer;

const SCHEMA: &str = "purchase.schema.json";

fn main() -> Result<(), Box<dyn Error>> {
    Builder::new("purchase.yaml").name("purchase").build()?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo says where code goes")?;
    fs::write(Path::new(&out).join("typify.rs"), peer::typify(&fs::read_to_string(SCHEMA)?)?)?;
    Ok(())
}
