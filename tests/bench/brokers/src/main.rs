//! `throughput`: what a message costs on real brokers. A raw client, our server with a bare application, and a generated service
//! handle the same messages in turn, each in a process of its own.

mod amqp;
mod kafka;
mod mqtt;
mod nats;
mod redis;
mod rounds;
mod sqs;
mod steady;
mod way;

use std::{
    fmt::Display,
    io::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use amgi::{Application, server::Stop};
use amgi_bench_measured::{self as measured, Bare, Meter, Service, numbers};
use amgi_brokers_tests::{install, python_servers, wheel};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    amqp::Amqp,
    kafka::Kafka,
    mqtt::{AtMostOnce, Mqtt},
    nats::{Core, Nats},
    redis::{PubSub, Redis},
    sqs::{Slow, Sqs},
    way::Way,
};

const HELP: &str = "\
Measures what a message costs on real brokers: messages a second, and CPU time of the process that handles them.

Usage: cargo run --release -p amgi-bench-brokers -- [SERVER...] [OPTIONS]

Servers: amqp, kafka, mqtt, mqtt-qos0, nats (JetStream), nats-core, redis (streams), redis-pubsub, sqs, sqs-slow
         [default: all]

Messages have 300 bytes. The broker's client in a loop (raw), our server with a bare application (server), and a generated
service with payload checks (service) handle them in turn, for several rounds. The broker holds all messages before a process
begins; brokers that hold none get them when it is ready. SQS is an emulator, fauxqs, which is slower than what it is
emptied by; the handlers of sqs-slow take 200 ms, on one queue with one poll at a time, ten at a time. Prints medians and spreads, writes all rounds to
target/bench/throughput.json, and exits with 1 when the service handles less than 0.95 of the raw client's messages a
second or takes more than 1.15 of its CPU time, or the Python server takes less than 10 times the CPU time of the service, 20 times on sqs.
Of sqs-slow only one thing counts: that the service handles 40 messages a second.

Options:
  --python      Beside them the same service in Python (python), and the generated one as a Python module (bridge), both on
                the broker's Python server (python3 with venv, and pip), with a quarter of the messages: amqp, kafka,
                mqtt-qos0, redis-pubsub, sqs, sqs-slow
  --steady      Instead, a long run of the generated service: messages as fast as they are handled, with its memory, and then
                at half that rate for 20 s, with the time from publishing to the handler. Not on brokers that hold nothing.
                Writes target/bench/steady.json, and exits with 1 when memory grows by more than 5 in a hundred. Not on sqs-slow
  --messages N  How many a round [default: 400 to 400000, by server], or a long run [default: 2000000, sqs 100000]
  --rounds N    How many rounds [default: 5]
  --rate N      Messages a second where the broker holds none: mqtt-qos0, nats-core, redis-pubsub [default: 5000]
  -h, --help    Print help
";

/// What is measured when nothing is named.
const SERVERS: [&str; 10] = [
    Amqp::NAME,
    Kafka::NAME,
    Mqtt::NAME,
    AtMostOnce::NAME,
    Nats::NAME,
    Core::NAME,
    Redis::NAME,
    PubSub::NAME,
    Sqs::NAME,
    Slow::NAME,
];

/// How many lanes numbers come in.
const LANES: u64 = 8;
/// How long the Python server takes to subscribe.
const PYTHON_STARTS: Duration = Duration::from_secs(3);

/// The first argument of a process that is measured.
const MEASURED: &str = "measured";
/// What it says when it has subscribed.
const READY: &str = "ready";
/// Its last argument when it is to say what it has handled, or also how old that was.
const PROGRESS: &str = "progress";
const AGES: &str = "ages";

/// A broker, and two ways to empty it.
trait Broker: Sized {
    /// Name on the command line.
    const NAME: &'static str;
    /// Whether it holds no messages for who is not there, and may lose some.
    const LIVE: bool = false;
    /// How many messages make a round.
    const MESSAGES: u64;
    /// How many messages make a long run; none where it would say nothing.
    const STEADY: u64 = if Self::LIVE { 0 } else { 2_000_000 };
    /// Where there is a Python server to compare with: how many times the CPU time of the service it takes at least.
    const PYTHON: Option<f64> = None;
    /// How long a handler waits, where it does. Then the service must handle so many messages a second, and nothing else counts.
    const PAUSE: Option<(Duration, f64)> = None;

    /// What publishes.
    type Publisher: Publisher;

    /// Starts it.
    async fn start() -> Self;

    /// Where it is.
    fn url(&self) -> String;

    /// Connects, and clears what the process before has left.
    async fn publisher(&self) -> Result<Self::Publisher, String>;

    /// Publishes so many messages for the process that comes next.
    async fn fill(&self, messages: u64) -> Result<(), String> {
        self.publisher().await?.publish(0..messages).await
    }

    /// The same for the Python server.
    async fn fill_for_python(&self, messages: u64) -> Result<(), String> {
        self.fill(messages).await
    }

    /// Receives with the broker's client until the meter has seen all. Calls `ready` when it has subscribed.
    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String>;

    /// Serves an application until it is stopped, with the same settings.
    async fn serve<A: Application>(url: &str, app: A, stop: &Stop, ready: fn()) -> amgi::Result<()>;
}

/// Publishes to a broker.
trait Publisher {
    /// Publishes these numbers, and returns when the broker has them.
    async fn publish(&mut self, numbers: Range<u64>) -> Result<(), String>;
}

/// Publishes so many a second.
async fn paced(publisher: &mut impl Publisher, messages: u64, rate: u64) -> Result<(), String> {
    let (began, mut sent) = (Instant::now(), 0);
    while sent < messages {
        sleep_until(began + Duration::from_micros(sent * 1_000_000 / rate)).await;
        let due = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX) * rate / 1_000_000 + 1;
        let due = due.clamp(sent + 1, messages);
        publisher.publish(sent..due).await?;
        sent = due;
    }
    Ok(())
}

/// Payload of a number, 300 bytes or a little less. The note begins with the time.
fn payload(id: u64) -> String {
    let (now, stamp) = (measured::now(), measured::STAMP);
    format!(r#"{{"id":{id},"note":"{now:0stamp$}{}","tags":["drawn","counted"]}}"#, "n".repeat(220))
}

/// An error for people.
fn text(error: impl Display) -> String {
    error.to_string()
}

/// What runs Python servers.
struct Python {
    interpreter: PathBuf,
    /// Where it finds the generated service.
    site: PathBuf,
}

impl Python {
    /// Builds and installs it.
    fn new() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = amgi_bench::command::target().join("bench");
        let site = folder.join("site");
        let wheels = ["../bridge", "../../../runtime/amgi-rs-python"].map(|package| {
            let out = folder.join("wheels").join(Path::new(package).file_name().unwrap_or_default());
            wheel(&here.join(package).join("Cargo.toml"), &["--release"], &out)
        });
        install(&wheels, &site);
        Self { interpreter: python_servers(), site }
    }
}

struct Options {
    servers: Vec<String>,
    python: Option<Python>,
    steady: bool,
    messages: Option<u64>,
    rounds: u64,
    /// Messages a second where the broker throws away what is not taken.
    rate: u64,
}

/// Evaluates an expression with `$broker` as the type of that name.
macro_rules! on {
    ($name:expr, $broker:ident => $run:expr) => {
        match $name {
            Amqp::NAME => {
                type $broker = Amqp;
                $run
            }
            Kafka::NAME => {
                type $broker = Kafka;
                $run
            }
            Mqtt::NAME => {
                type $broker = Mqtt;
                $run
            }
            AtMostOnce::NAME => {
                type $broker = AtMostOnce;
                $run
            }
            Nats::NAME => {
                type $broker = Nats;
                $run
            }
            Core::NAME => {
                type $broker = Core;
                $run
            }
            Redis::NAME => {
                type $broker = Redis;
                $run
            }
            PubSub::NAME => {
                type $broker = PubSub;
                $run
            }
            Sqs::NAME => {
                type $broker = Sqs;
                $run
            }
            Slow::NAME => {
                type $broker = Slow;
                $run
            }
            other => return Err(format!("`{other}` is no server\n\n{HELP}")),
        }
    };
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    let ran = if args.peek().is_some_and(|arg| arg == MEASURED) {
        measure(args.skip(1).collect()).await.map(|()| ExitCode::SUCCESS)
    } else {
        compare(args).await
    };
    ran.unwrap_or_else(|problem| amgi_bench::fail(&problem))
}

async fn compare(args: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let Some(options) = options(args)? else {
        return Ok(amgi_bench::finish(HELP, &[], &[]));
    };
    let mut exceeded = Vec::new();
    let table = if options.steady {
        let mut reports = Vec::new();
        for server in &options.servers {
            reports.extend(on!(server.as_str(), B => steady::run::<B>(&options).await?));
        }
        amgi_bench::report("steady", &reports)?;
        steady::table(&reports, &mut exceeded)
    } else {
        let mut reports = Vec::new();
        for server in &options.servers {
            reports.push(on!(server.as_str(), B => rounds::run::<B>(&options).await?));
        }
        amgi_bench::report("throughput", &reports)?;
        rounds::table(&reports, &mut exceeded)
    };
    Ok(amgi_bench::finish(&table, &[], &exceeded))
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options =
        Options { servers: Vec::new(), python: None, steady: false, messages: None, rounds: 5, rate: 5000 };
    while let Some(arg) = args.next() {
        let mut number = || {
            let text = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
            text.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(|| format!("{arg}: `{text}` is no count"))
        };
        match arg.as_str() {
            "-h" | "--help" => return Ok(None),
            "--python" => options.python = Some(Python::new()),
            "--steady" => options.steady = true,
            "--messages" => options.messages = Some(number()?),
            "--rounds" => options.rounds = number()?,
            "--rate" => options.rate = number()?,
            _ => options.servers.push(arg),
        }
    }
    if options.servers.is_empty() {
        options.servers = SERVERS.map(str::to_owned).into();
    }
    Ok(Some(options))
}

/// A process that is measured, and what it says.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts it and waits until it is ready.
    async fn start(mut command: Command) -> Result<Self, String> {
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(text)?;
        let lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        let mut process = Self { child, lines };
        if process.line().await? == READY { Ok(process) } else { Err("it does not get ready".to_owned()) }
    }

    /// A service in Python, which does not say that it is ready.
    async fn python(mut command: Command) -> Result<Self, String> {
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(text)?;
        let lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        sleep(PYTHON_STARTS).await;
        Ok(Self { child, lines })
    }

    /// What it says next.
    async fn line(&mut self) -> Result<String, String> {
        match self.lines.next_line().await.map_err(text)? {
            Some(line) => Ok(line),
            None => Err(text(self.child.wait().await.map_err(text)?)),
        }
    }

    /// Waits for its end.
    async fn end(mut self) -> Result<(), String> {
        let status = self.child.wait().await.map_err(text)?;
        if status.success() { Ok(()) } else { Err(text(status)) }
    }
}

/// The command that is measured, with further arguments.
fn measured_command<B: Broker>(way: Way, url: &str, messages: u64) -> Result<Command, String> {
    let mut command = Command::new(std::env::current_exe().map_err(text)?);
    command.args([MEASURED, B::NAME, way.name(), url, &messages.to_string()]);
    Ok(command)
}

/// Is the process that is measured.
async fn measure(args: Vec<String>) -> Result<(), String> {
    let [server, way, url, messages, says @ ..] = args.as_slice() else {
        return Err(HELP.to_owned());
    };
    let way =
        Way::OURS.into_iter().find(|one| one.name() == way).ok_or_else(|| format!("`{way}` is no way"))?;
    let messages = messages.parse().map_err(|_| format!("`{messages}` is no count"))?;
    let says = says.first().map(String::as_str);
    let pause = on!(server.as_str(), B => B::PAUSE).map(|(pause, _)| pause);
    let mut meter = Meter::new(messages, pause);
    if says == Some(AGES) {
        meter = meter.with_latency();
    }
    if says.is_some() {
        tokio::spawn(say_progress(meter.clone()));
    }
    on!(server.as_str(), B => handle::<B>(way, url, &meter).await?);
    let taken = meter.taken().ok_or("it ended before the last message")?;
    say(&serde_json::to_string(&taken).map_err(text)?);
    Ok(())
}

/// Says how many messages were handled, until the last.
async fn say_progress(meter: Meter) {
    let mut said = 0;
    while meter.taken().is_none() {
        sleep(Duration::from_millis(2)).await;
        let seen = meter.seen();
        if seen > said {
            say(&seen.to_string());
            said = seen;
        }
    }
}

async fn handle<B: Broker>(way: Way, url: &str, meter: &Meter) -> Result<(), String> {
    if B::LIVE {
        meter.may_miss_some();
    }
    let (stop, ready) = (meter.stop(), || say(READY));
    match way {
        Way::Raw => tokio::select! {
            ended = B::raw(url, meter, ready) => ended,
            () = stop.requested() => Ok(()),
        },
        Way::Server => B::serve(url, Bare::new(meter.clone()), stop, ready).await.map_err(text),
        _ => B::serve(url, numbers::app(Service(meter.clone())), stop, ready).await.map_err(text),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    // Without a reader there is nobody to tell.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
