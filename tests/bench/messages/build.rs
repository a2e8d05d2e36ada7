//! Generates the applications under test.

use amgi_gen::{BuildError, Builder, settings::Perspective};

fn main() -> Result<(), BuildError> {
    Builder::new("orders.yaml").build()?;
    Builder::new("batches.yaml").build()?;
    Builder::new("asks.yaml").build()?;
    Builder::new("asks.yaml").name("answers").perspective(Perspective::Peer).build()
}
