//! Generates the application under test.

use amgi_gen::{BuildError, Builder};

fn main() -> Result<(), BuildError> {
    Builder::new("orders.yaml").build()
}
