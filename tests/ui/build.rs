//! Generates the module of `specs/user.yaml`, as a user's build script does.

fn main() -> Result<(), amgi_gen::BuildError> {
    amgi_gen::Builder::new("../../specs/user.yaml").build()
}
