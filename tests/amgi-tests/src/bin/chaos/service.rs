//! The service that is put through it: generated from `specs/numbers.yaml`, with the command line of every generated
//! application, and this handler.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use amgi::{Context, Failure};

amgi_gen_macro::asyncapi!("../../specs/numbers.yaml");

use numbers::{Number, Numbers, NumbersHandler};

/// The first argument that makes this program the service.
pub(crate) const COMMAND: &str = "service";

/// Names the file that the service writes what it has handled to.
pub(crate) const JOURNAL: &str = "NUMBERS_JOURNAL";

/// Every so many numbers one fails, always.
pub(crate) const POISONED: u64 = 1000;

/// Whether the handler refuses this number.
pub(crate) fn is_poisoned(id: u64) -> bool {
    id % POISONED == POISONED / 2
}

/// Writes down every number before it is acknowledged. A line is one write at the end of the file, so that processes may share
/// it, and that it is there when the process is killed.
struct Journal(File);

impl NumbersHandler for Journal {
    type Error = Failure;

    async fn on_number(&self, channel: Numbers, message: Number, _: &Context) -> Result<(), Failure> {
        let id = message.payload.id;
        if is_poisoned(id) {
            return Err(io::Error::other("this number cannot be counted").into());
        }
        (&self.0).write_all(format!("{} {id}\n", channel.lane).as_bytes())?;
        Ok(())
    }
}

/// Runs the service; `args` are those of a generated application, its name first.
pub(crate) async fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let app = || {
        numbers::app_with(|| async {
            let path = std::env::var_os(JOURNAL).ok_or_else(|| io::Error::other("no journal is named"))?;
            OpenOptions::new().create(true).append(true).open(Path::new(&path)).map(Journal)
        })
    };
    amgi::cli::App::new(numbers::DOCUMENT, app)
        .protocol(amgi_amqp::protocol())
        .protocol(amgi_kafka::protocol())
        .protocol(amgi_mqtt::protocol())
        .protocol(amgi_nats::protocol())
        .protocol(amgi_redis::protocol())
        .run_with(args)
        .await
}
