//! The command line of a generated application: `run` it on servers, `send` and `validate` messages by hand, print the
//! document.
//!
//! ```no_run
//! # use amgi::{Application, ChannelInfo, Context, Document, Settlement};
//! # struct Service;
//! # impl Application for Service {
//! #     fn channels(&self) -> &[ChannelInfo] { &[] }
//! #     async fn message(&self, _: &Context) -> Settlement { Settlement::Ack }
//! # }
//! # mod user {
//! #     pub const DOCUMENT: amgi::Document =
//! #         amgi::Document { title: "", version: "", json: "{}", servers: &[], receives: &[], sends: &[] };
//! #     pub fn app(service: super::Service) -> super::Service { service }
//! # }
//! #[tokio::main]
//! async fn main() -> std::process::ExitCode {
//!     // With `.protocol(amgi_mqtt::protocol())` it runs on MQTT brokers too.
//!     amgi::cli::App::new(user::DOCUMENT, || user::app(Service)).run().await
//! }
//! ```
//!
//! | command | |
//! |---|---|
//! | `app run [SERVER]...` | receives from these servers, several at once: names from the document's `servers`, URLs, `NAME=URL`, `memory`, or `lambda` where that is built in |
//! | `app send OPERATION < payload` | sends by hand what the document describes, checked |
//! | `app validate CHANNEL < payload` | says which message it is, or everything that is wrong with it |
//! | `app asyncapi` | prints the document, YAML or `--json` |
//! | `app completions SHELL` | |
//! | `app`, `app --examples` | as `app run memory`: JSON lines from standard input, or the document's examples; under AWS Lambda `app` is `app run lambda` |
//!
//! What a protocol can be told stands in one table ([`ProtocolInfo`]): each option is a flag
//! (`--client-id`), an environment variable (`AMGI_MQTT_CLIENT_ID`), and may stand behind a server
//! (`mqtt://localhost?client-id=a`). The last of these wins, then the flag, then the environment, then the document.
//!
//! Logs go to standard error; `RUST_LOG` says which (`info,amgi=debug`), `--log json` how. The exit code is 0 when all is
//! well, 1 when something failed or a message does not fit, 2 when the command line is wrong.

mod command;
mod document;
mod hand;
mod memory;
mod target;

use std::{
    ffi::OsString,
    future::Future,
    io::{self, Write as _},
    pin::Pin,
    process::ExitCode,
    sync::Arc,
};

use clap::ArgMatches;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use self::{memory::Memory, target::Target};
use crate::{
    Result,
    contract::{Application, Document},
    error::Error,
    protocol::{Endpoint, Protocol, ProtocolInfo},
    server::Stop,
    servers::{Kind, Servers, Shared},
};

type Make<A> = Box<dyn FnOnce(&Addresses) -> Result<A> + Send>;

/// The command line of one application.
#[must_use = "nothing happens until it is run"]
pub struct App<A> {
    document: Document,
    make: Make<A>,
    protocols: Vec<Arc<dyn Served<A>>>,
    stop: Stop,
}

impl<A: Application> App<A> {
    /// For the document that a generated module tells about. `make` makes the application, when it is to be run.
    pub fn new(document: Document, make: impl FnOnce() -> A + Send + 'static) -> Self {
        Self::with_addresses(document, |_| Ok(make()))
    }

    /// The same for a document that leaves addresses open (`address: null`): `make` asks for them.
    ///
    /// # Errors
    /// Those of `make` end [`run`](Self::run).
    pub fn with_addresses(
        document: Document,
        make: impl FnOnce(&Addresses) -> Result<A> + Send + 'static,
    ) -> Self {
        Self { document, make: Box::new(make), protocols: Vec::new(), stop: Stop::new() }
    }

    /// Adds a protocol that it can be run on; the in-memory server is always there.
    pub fn protocol(mut self, protocol: impl Protocol) -> Self {
        self.protocols.push(Arc::new(protocol));
        self
    }

    /// Stops `run` when this handle is asked to. Default: a handle of its own; SIGTERM and Ctrl-C stop it in any case.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Does what the command line of the process says, and gives its exit code.
    pub async fn run(self) -> ExitCode {
        self.run_with(std::env::args_os()).await
    }

    /// Does what these arguments say, the name of the program first.
    pub async fn run_with(self, args: impl IntoIterator<Item = impl Into<OsString>>) -> ExitCode {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        match self.execute(args).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Usage(error)) => {
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Err(Failure::Failed(text)) => {
                let _ = writeln!(io::stderr(), "error: {text}");
                ExitCode::FAILURE
            }
        }
    }

    async fn execute(mut self, args: Vec<OsString>) -> Result<(), Failure> {
        self.protocols.push(Arc::new(Memory::default()));
        let infos: Vec<&'static ProtocolInfo> = self.protocols.iter().map(|p| p.info()).collect();
        let program = args.first().and_then(|arg| std::path::Path::new(arg).file_stem());
        let program = program.map_or_else(|| "app".to_owned(), |name| name.to_string_lossy().into_owned());
        let mut command = command::command(&program, &self.document, &infos);
        let matches = command.try_get_matches_from_mut(args).map_err(Failure::Usage)?;
        log(&matches);
        match matches.subcommand() {
            Some(("run", matches)) => {
                let named = command::texts(matches, "SERVER");
                let examples = matches.get_flag("examples");
                Ok(self.serve(&named, matches, examples).await?)
            }
            Some(("send", matches)) => hand::send(&self.document, &self.protocols, matches).await,
            Some(("validate", matches)) => hand::validate(&self.document, matches),
            Some(("asyncapi", matches)) => {
                print(&document::text(self.document.json, matches.get_flag("json"))?)
            }
            Some(("completions", matches)) => {
                let mut text = Vec::new();
                if let Some(shell) = matches.get_one::<clap_complete::Shell>("SHELL") {
                    clap_complete::generate(*shell, &mut command, program, &mut text);
                }
                print(&String::from_utf8_lossy(&text))
            }
            _ => {
                let examples = matches.get_flag("examples");
                // Whoever started the process may bring the messages.
                let here = self.protocols.iter().find(|protocol| !examples && protocol.is_here());
                let name = here.map_or("memory", |protocol| protocol.info().name).to_owned();
                Ok(self.serve(&[name], &matches, examples).await?)
            }
        }
    }

    async fn serve(self, named: &[String], matches: &ArgMatches, examples: bool) -> Result<()> {
        let Self { document, make, mut protocols, stop } = self;
        if let Some(memory) = protocols.last_mut() {
            *memory = Arc::new(Memory { examples });
        }
        let mut targets = if named.is_empty() {
            vec![target::only(&document, &protocols)?]
        } else {
            named
                .iter()
                .map(|text| target::target(&document, &protocols, text))
                .collect::<Result<Vec<Target<A>>>>()?
        };
        let receiving = targets.len();
        if targets.iter().any(|target| target.protocol.only_receives()) {
            target::add_senders(&document, &protocols, &mut targets)?;
        }
        target::settle(&mut targets, matches)?;
        let sure = target::only_senders(&document, &targets[receiving..]);
        let mut servers = Servers::new(make(&Addresses::given(&document, matches)?)?).stop(&stop);
        for (index, target) in targets.into_iter().enumerate() {
            let Target { name, url, protocol, values, .. } = target;
            // For sends there may be as many instances as there are.
            let passing = index >= receiving;
            let kind = match (passing, sure.contains(&name)) {
                (false, _) => Kind::Whole,
                (true, true) => Kind::Sender,
                // Something may be sent there, or nothing.
                (true, false) => Kind::LazySender,
            };
            servers.push(name, kind, move |app, stop| async move {
                protocol.serve(app, Endpoint { url, values, stop, passing }).await
            });
        }
        servers.serve().await
    }
}

/// A protocol for one type of application.
trait Served<A>: Send + Sync {
    fn info(&self) -> &'static ProtocolInfo;
    fn only_receives(&self) -> bool;
    fn is_here(&self) -> bool;
    fn serve(&self, app: Shared<A>, endpoint: Endpoint) -> Serving<'_>;
    fn pass(&self, app: hand::Passing, endpoint: Endpoint) -> Serving<'_>;
}

type Serving<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

impl<A: Application, P: Protocol> Served<A> for P {
    fn info(&self) -> &'static ProtocolInfo {
        Protocol::info(self)
    }

    fn only_receives(&self) -> bool {
        Protocol::only_receives(self)
    }

    fn is_here(&self) -> bool {
        Protocol::is_here(self)
    }

    fn serve(&self, app: Shared<A>, endpoint: Endpoint) -> Serving<'_> {
        Box::pin(Protocol::serve(self, app, endpoint))
    }

    fn pass(&self, app: hand::Passing, endpoint: Endpoint) -> Serving<'_> {
        Box::pin(Protocol::serve(self, app, endpoint))
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong, or asks for help.
    Usage(clap::Error),
    Failed(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Config(text) => Self::Failed(text),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Addresses that the document leaves open, from `--address CHANNEL=ADDRESS` or the environment.
#[derive(Debug, Default)]
pub struct Addresses(Vec<(String, String)>);

impl Addresses {
    fn given(document: &Document, matches: &ArgMatches) -> Result<Self> {
        let mut given = Vec::new();
        for text in command::texts(matches, "address") {
            let (channel, address) = command::pair(&text, "--address", "CHANNEL=ADDRESS")?;
            let open = document.receives.iter().filter(|receive| receive.channel.address.is_none());
            let open: Vec<&str> = open.map(|receive| receive.channel.name).collect();
            if !open.contains(&channel) {
                let hint = command::hint(channel, &open);
                return Err(Error::Config(format!("--address: no channel `{channel}` needs one{hint}")));
            }
            given.push((channel.to_owned(), address.to_owned()));
        }
        Ok(Self(given))
    }

    /// The address of a channel: what the command line says, else the environment variable `variable`.
    ///
    /// # Errors
    /// When neither says it.
    pub fn get(&self, channel: &str, variable: &str) -> Result<String> {
        let given = self.0.iter().rev().find(|(name, _)| name == channel).map(|(_, address)| address.clone());
        given.or_else(|| std::env::var(variable).ok().filter(|address| !address.is_empty())).ok_or_else(|| {
            Error::Config(format!(
                "the document does not say the address of channel `{channel}`: set {variable}, or write --address \
                 {channel}=ADDRESS"
            ))
        })
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Failure::from(Error::from(error))),
    }
}

/// Logs to standard error, unless the program has done something about logs itself.
fn log(matches: &ArgMatches) {
    let filter = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(io::stderr);
    let _ = match matches.get_one::<String>("log").map(String::as_str) {
        Some("json") => registry.with(layer.json()).try_init(),
        _ => registry.with(layer).try_init(),
    };
}
