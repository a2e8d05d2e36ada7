//! Holds what `amgi-gen diff` says of changed schemas to the verdicts of another implementation; `--help` says more.

use std::process::ExitCode;

use amgi_tests::{say, versions};

const USAGE: &str = "\
usage: versions [--count N] [--seed N]

Makes N schemas (10,000 unless said otherwise), changes each a little, and asks what the change breaks where such messages are
received, and where they are sent. What is said to be compatible must be: every instance of the one schema must fit the other, as
the crate `jsonschema` judges. Formats are asserted. The last line counts how often it was decided, and how often an instance shows
what is said to break. Exits 1 at the first pair that is wrong, with the instance that shows it.

    --seed N   other schemas; the same seed gives the same
";

fn main() -> ExitCode {
    let (mut count, mut seed) = (10_000, 1);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = args.next().and_then(|text| text.parse::<u32>().ok());
        match (arg.as_str(), number) {
            ("--count", Some(number)) => count = number as usize,
            ("--seed", Some(number)) => seed = u64::from(number),
            _ => {
                say(USAGE);
                return ExitCode::from(2);
            }
        }
    }
    match versions::run(count, seed) {
        Ok(counts) => {
            say(format!("{counts:?}"));
            ExitCode::SUCCESS
        }
        Err(text) => {
            say(text);
            ExitCode::FAILURE
        }
    }
}
