//! The command `amgi-gen`.

use std::process::ExitCode;

fn main() -> ExitCode {
    amgi_gen::cli::run(std::env::args_os())
}
