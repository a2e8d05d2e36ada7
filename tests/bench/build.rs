//! Generates the application under test.

fn main() -> Result<(), amgi_gen::BuildError> {
    amgi_gen::Builder::new("../../specs/orders.yaml").name("orders").build()
}
