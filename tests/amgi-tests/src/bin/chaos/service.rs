//! The service that is put through it: generated from `specs/numbers.yaml`, with the command line of every generated
//! application, and this handler. Or the same with AsyncFast.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use amgi::{Application, ChannelInfo, Context, Failure, PolicyInfo, Settlement, StartupError, State};

use amgi_brokers_tests::{install, python_servers, wheel};
use tokio::process::Command;

amgi_gen_macro::asyncapi!("../../specs/numbers.yaml");

use numbers::{Number, Numbers, NumbersHandler};

/// The first argument that makes this program the service.
const COMMAND: &str = "service";

/// The same, of one that leaves dead letters to its queues.
const REDRIVEN: &str = "service-redriven";

/// Names the file that the service writes what it has handled to.
pub(crate) const JOURNAL: &str = "NUMBERS_JOURNAL";

/// Every so many numbers one fails, always.
pub(crate) const POISONED: u64 = 1000;

/// Whether the handler refuses this number.
pub(crate) fn is_poisoned(id: u64) -> bool {
    id % POISONED == POISONED / 2
}

/// Which one it is.
#[derive(Debug, Clone)]
pub(crate) enum Service {
    /// The generated one.
    Generated,
    /// The generated one, which leaves dead letters to its queues.
    Redriven,
    /// With AsyncFast.
    AsyncFast {
        /// The package that has the server.
        package: &'static str,
        interpreter: PathBuf,
        /// Where it finds that package.
        site: PathBuf,
    },
}

impl Service {
    /// With AsyncFast on the servers of `package`: `amgi_rs`, which is built and installed below `folder`, or a Python server.
    pub(crate) fn asyncfast(package: &'static str, folder: &Path) -> Self {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../runtime/amgi-rs-python/Cargo.toml");
        let site = folder.join("site");
        install(&[wheel(Path::new(manifest), &["--release"], &folder.join("wheel"))], &site);
        Self::AsyncFast { package, interpreter: python_servers(), site }
    }

    /// What starts it; the broker's URL and the options follow.
    pub(crate) fn command(&self) -> io::Result<Command> {
        let ours = |first| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([first, "run"]);
            Ok(command)
        };
        match self {
            Self::Generated => ours(COMMAND),
            Self::Redriven => ours(REDRIVEN),
            Self::AsyncFast { package, interpreter, site } => {
                let mut command = Command::new(interpreter);
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/chaos/asyncfast_numbers.py");
                command.args([script, package]).env("PYTHONPATH", site);
                Ok(command)
            }
        }
    }
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

/// The service as if its document said nothing of failures: queues have their own attempts and dead letters.
struct Redriven<A> {
    app: A,
    channels: Vec<ChannelInfo>,
}

impl<A: Application> Application for Redriven<A> {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        self.app.startup(state).await
    }

    async fn message(&self, cx: &Context) -> Settlement {
        self.app.message(cx).await
    }

    async fn shutdown(&self) -> Result<(), StartupError> {
        self.app.shutdown().await
    }
}

fn app() -> impl Application {
    numbers::app_with(|| async {
        let path = std::env::var_os(JOURNAL).ok_or_else(|| io::Error::other("no journal is named"))?;
        OpenOptions::new().create(true).append(true).open(Path::new(&path)).map(Journal)
    })
}

fn redriven() -> impl Application {
    let app = app();
    let left = |channel: &ChannelInfo| ChannelInfo {
        dead_letter: None,
        policy: PolicyInfo::NONE,
        ..channel.clone()
    };
    let channels = app.channels().iter().map(left).collect();
    Redriven { app, channels }
}

/// Whether these arguments are those of the service: a generated application's, its name first.
pub(crate) fn is_meant(first: &str) -> bool {
    first == COMMAND || first == REDRIVEN
}

/// Runs the service.
pub(crate) async fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let mut args = args.peekable();
    if args.peek().is_some_and(|first| first == REDRIVEN) {
        serve(redriven, args).await
    } else {
        serve(app, args).await
    }
}

async fn serve<A: Application>(app: fn() -> A, args: impl Iterator<Item = String>) -> ExitCode {
    amgi::cli::App::new(numbers::DOCUMENT, app)
        .protocol(amgi_amqp::protocol())
        .protocol(amgi_kafka::protocol())
        .protocol(amgi_mqtt::protocol())
        .protocol(amgi_nats::protocol())
        .protocol(amgi_redis::protocol())
        .protocol(amgi_sqs::protocol())
        .run_with(args)
        .await
}
