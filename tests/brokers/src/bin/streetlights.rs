//! AsyncAPI's streetlights example, from the document to a running service: `streetlights PATH`, where PATH is
//! `streetlights-mqtt-asyncapi.yml` of the specification.
//!
//! Generates a crate, writes its handler, builds it, runs it with `run URL` on a real mosquitto, and publishes with `mosquitto_pub`. Exits
//! 0 when typed values arrived, a malformed payload was rejected with its JSON Pointer, and SIGTERM ended it well.

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use amgi_brokers_tests::Mosquitto;
use amgi_gen::settings::{Runtime, Settings};
use amgi_golden_tests::{cargo, generated_crate, generated_target, root, shown};

const HANDLERS: &str = r#"//! Prints what was measured.

use amgi::{Context, Failure};

use crate::lights::{LightMeasured, LightingMeasured, LightingMeasuredHandler};

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct Service;

impl LightingMeasuredHandler for Service {
    type Error = Failure;

    async fn on_light_measured(
        &self,
        channel: LightingMeasured,
        message: LightMeasured,
        _cx: &Context,
    ) -> Result<(), Failure> {
        let id: &String = &channel.streetlight_id;
        let lumens: Option<u64> = message.payload.lumens;
        println!("{id} {lumens:?} {:?}", message.payload.sent_at);
        Ok(())
    }
}
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let spec =
        std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: streetlights PATH-OF-THE-DOCUMENT")?;
    let root = root();
    let folder = generated_crate("streetlights");
    generate(&spec, &folder, &root)?;
    build(&folder)?;
    let broker = Mosquitto::start();
    let mut service = Service::start(&generated_target().join("debug/streetlights"), &broker.url())?;
    service.subscribed(&broker, "smartylighting/streetlights/1/0/event/+/lighting/measured")?;

    let topic = "smartylighting/streetlights/1/0/event/lamp-7/lighting/measured";
    let good = r#"{"lumens":42,"sentAt":"2026-03-14T09:26:53Z"}"#;
    broker.mosquitto_pub(&["-q", "1", "-t", topic, "-m", good]);
    service.expect(r#"lamp-7 Some(42) Some("2026-03-14T09:26:53Z")"#)?;

    // Two that do not fit, then one that does: the handler sees only the last.
    broker.mosquitto_pub(&["-q", "1", "-t", topic, "-m", r#"{"lumens":"bright"}"#]);
    broker.mosquitto_pub(&["-q", "1", "-t", topic, "-m", r#"{"lumens":-1}"#]);
    broker.mosquitto_pub(&["-q", "1", "-t", topic, "-m", r#"{"lumens":43}"#]);
    service.expect("lamp-7 Some(43) None")?;
    let log = service.stop()?;
    let rejected = log.lines().filter(|line| line.contains("payload `/lumens`")).count();
    if rejected < 2 {
        return Err(format!("expected two rejections at /lumens, found {rejected}:\n{log}").into());
    }
    let mut out = std::io::stdout().lock();
    std::io::Write::write_all(
        &mut out,
        b"streetlights: typed values handled, 2 malformed payloads rejected at /lumens\n",
    )?;
    Ok(())
}

fn generate(spec: &Path, folder: &Path, root: &Path) -> Result<(), Box<dyn Error>> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let settings = Settings {
        name: Some("lights".to_owned()),
        runtime: Runtime::Path(root.join("runtime")),
        ..Settings::default()
    };
    let generation = amgi_gen::generate(spec, &settings);
    if generation.api.is_none() {
        return Err(generation.sources.report(&generation.diagnostics).into());
    }
    let plan = amgi_gen::plan::crate_files(&generation, &settings, folder)?;
    amgi_gen::write::apply(&amgi_gen::write::compare(folder, plan)?)?;
    fs::write(folder.join("src/handlers.rs"), HANDLERS)?;
    Ok(())
}

fn build(folder: &Path) -> Result<(), Box<dyn Error>> {
    let output = cargo(folder, &["build", "--quiet"]);
    if output.status.success() { Ok(()) } else { Err(shown(&output).into()) }
}

/// The generated service, running; killed when it is dropped.
struct Service {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: mpsc::Receiver<String>,
}

impl Service {
    fn start(binary: &Path, url: &str) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(binary)
            .args(["run", url])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let lines = read(child.stdout.take().ok_or("no standard output")?);
        let log = read(child.stderr.take().ok_or("no standard error")?);
        Ok(Self { child, lines, log })
    }

    /// Waits until the broker has its subscription.
    fn subscribed(&mut self, broker: &Mosquitto, filter: &str) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !broker.log().contains(filter) {
            if let Some(status) = self.child.try_wait()? {
                let log: Vec<String> = self.log.iter().collect();
                return Err(format!("ended with {status}\n{}", log.join("\n")).into());
            }
            if Instant::now() > deadline {
                return Err(format!("no subscription to `{filter}`\n{}", broker.log()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn expect(&mut self, expected: &str) -> Result<(), Box<dyn Error>> {
        match self.lines.recv_timeout(Duration::from_secs(20)) {
            Ok(line) if line == expected => Ok(()),
            other => {
                let log: Vec<String> = self.log.try_iter().collect();
                Err(format!("expected `{expected}`, got {other:?}\n{}", log.join("\n")).into())
            }
        }
    }

    /// SIGTERM; the log when it ended well.
    fn stop(mut self) -> Result<String, Box<dyn Error>> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        let log: Vec<String> = self.log.iter().collect();
        if status.success() {
            Ok(log.join("\n"))
        } else {
            Err(format!("ended with {status}\n{}", log.join("\n")).into())
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (tell, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
