//! AWS Lambda's runtime API in two makes, both from `PyPI`: cargo-lambda's, which people use at their desks, and AWS's own Runtime
//! Interface Emulator, out of the package of the SAM command line. Under both a function is a program, and an event a request.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

use crate::{PATIENCE, free_port, installed::python, within};

const CARGO_LAMBDA: &str = "1.9.2";
const SAM: &str = "1.170.0";
const TRANSLATOR: &str = "1.115.0";
const LINTER: &str = "1.58.0";

/// Whose runtime API it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeApi {
    /// `cargo lambda watch --only-lambda-apis`. It ends no invocation, and gives each a deadline in 1970.
    CargoLambda,
    /// AWS's emulator. It starts the function with the first event, gives deadlines as AWS does, and ends what takes longer.
    Emulator,
}

/// A function under a runtime API. Both are ended when it is dropped.
pub struct Function {
    api: RuntimeApi,
    port: u16,
    /// The process of the runtime API.
    runtime: Child,
    /// The function, where it is not the runtime API that starts it.
    process: Option<Child>,
    folder: TempDir,
}

/// What an invocation ended with that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionError {
    /// `errorType`; empty where the runtime API says none.
    pub kind: String,
    /// `errorMessage`.
    pub message: String,
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl Function {
    /// Starts `program` as a function that may take so many seconds for an event, with nothing in its environment but what Lambda
    /// gives, and this.
    ///
    /// # Panics
    /// When the runtime API does not start.
    pub async fn start(api: RuntimeApi, program: &Path, timeout: u32, variables: &[(&str, &str)]) -> Self {
        let install = tokio::task::spawn_blocking(move || (installed(api), free_port(), free_port()));
        let (server, port, inner) = install.await.expect("the runtime API is installed");
        let folder = tempfile::tempdir().expect("a folder");
        let given = |command: &mut Command| {
            command.env_clear().current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
            let log = || {
                let mut log = fs::OpenOptions::new();
                log.create(true).append(true).open(folder.path().join("log")).expect("a log")
            };
            command.stdout(log()).stderr(log());
            command.envs([
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_SESSION_TOKEN", "test"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_LAMBDA_FUNCTION_NAME", "function"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("_HANDLER", "bootstrap"),
            ]);
            command.envs(variables.iter().copied());
        };
        let mut command = Command::new(server);
        given(&mut command);
        match api {
            RuntimeApi::CargoLambda => {
                // It asks cargo for the functions of the package it is in.
                let manifest = "[package]\nname = \"function\"\n\n[workspace]\n";
                fs::write(folder.path().join("Cargo.toml"), manifest).expect("a manifest");
                fs::create_dir(folder.path().join("src")).expect("a folder");
                fs::write(folder.path().join("src/main.rs"), "fn main() {}\n").expect("a program");
                command.envs(
                    ["HOME", "PATH", "CARGO_HOME", "RUSTUP_HOME"]
                        .into_iter()
                        .filter_map(|name| Some((name, std::env::var_os(name)?))),
                );
                command.args(["lambda", "watch", "--only-lambda-apis", "--ignore-changes"]);
                command.args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()]);
            }
            RuntimeApi::Emulator => {
                command.env("AWS_LAMBDA_FUNCTION_TIMEOUT", timeout.to_string());
                command.args(["--runtime-interface-emulator-address", &format!("127.0.0.1:{port}")]);
                command.args(["--runtime-api-address", &format!("127.0.0.1:{inner}")]);
                command.arg(program);
            }
        }
        let runtime = command.spawn().expect("the runtime API is started");
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        within("the runtime API", listens).await;
        let process = (api == RuntimeApi::CargoLambda).then(|| {
            let mut command = Command::new(program);
            given(&mut command);
            command.env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{port}/.rt"));
            command.spawn().expect("the function is started")
        });
        Self { api, port, runtime, process, folder }
    }

    /// Gives it an event, and waits for its answer.
    ///
    /// # Errors
    /// When it fails at the event, or takes too long.
    ///
    /// # Panics
    /// When the function has ended, or the runtime API does not answer.
    pub async fn invoke(&mut self, event: &Value) -> Result<Value, FunctionError> {
        self.invoke_bytes(event.to_string()).await
    }

    /// The same with bytes that may be anything.
    ///
    /// # Errors
    /// When it fails at the event, or takes too long.
    ///
    /// # Panics
    /// When the function has ended, or the runtime API does not answer.
    pub async fn invoke_bytes(&mut self, event: impl Into<Bytes>) -> Result<Value, FunctionError> {
        let (port, api, event) = (self.port, self.api, event.into());
        let answered = tokio::time::timeout(PATIENCE, request(port, api, event));
        let answered = match &mut self.process {
            None => answered.await,
            Some(function) => tokio::select! {
                answered = answered => answered,
                ended = function.wait() => panic!("the function has ended ({ended:?}):\n{}", self.log()),
            },
        };
        let Ok((response, body)) = answered else {
            panic!("the function does not answer:\n{}", self.log());
        };
        let Ok(answer) = serde_json::from_slice::<Value>(&body) else {
            let text = String::from_utf8_lossy(&body).into_owned();
            return if text.is_empty() && response.status().is_success() {
                Ok(Value::Null)
            } else {
                Err(FunctionError { kind: String::new(), message: text })
            };
        };
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        match (text("errorType"), text("errorMessage")) {
            // The emulator says it nowhere else.
            (kind, Some(message)) => Err(FunctionError { kind: kind.unwrap_or_default(), message }),
            _ => Ok(answer),
        }
    }

    /// The process of the function, which whoever has it ends from now on.
    ///
    /// # Panics
    /// When it is not this process that has started it.
    pub fn take_process(&mut self) -> Child {
        self.process.take().expect("a process of ours")
    }

    /// The pid of the function, once it runs.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        let pid = match &self.process {
            Some(function) => function.id(),
            None => children(self.runtime.id().expect("it runs")).first().copied(),
        };
        pid.unwrap_or_else(|| panic!("the function does not run:\n{}", self.log()))
    }

    /// Asks it to end (SIGTERM), and waits until it has; how, where this process is its parent.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn terminate(&mut self) -> Option<ExitStatus> {
        let pid = self.pid();
        signal(pid, Signal::TERM);
        if self.process.is_some() {
            return self.ended().await;
        }
        let ended = async {
            while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        within("the end of the function", ended).await;
        None
    }

    /// Waits until it has ended by itself; how, where this process is its parent.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        let function = self.process.as_mut()?;
        Some(within("the end of the function", function.wait()).await.expect("its status"))
    }

    /// What the function has said of itself until now: those lines that are JSON.
    pub fn told(&self) -> Vec<Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What the function and the runtime API have written until now.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // The emulator's function would outlive it.
        for pid in self.runtime.id().map(children).unwrap_or_default() {
            signal(pid, Signal::KILL);
        }
    }
}

async fn request(port: u16, api: RuntimeApi, event: Bytes) -> (Response<()>, Bytes) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the runtime API");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    let connection = tokio::spawn(connection);
    let name = if api == RuntimeApi::CargoLambda { "_" } else { "function" };
    let request = Request::post(format!("/2015-03-31/functions/{name}/invocations"))
        .header("host", "127.0.0.1")
        .body(Full::new(event))
        .expect("a request");
    let response: Response<Incoming> = sender.send_request(request).await.expect("an answer");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    connection.abort();
    (Response::from_parts(head, ()), body)
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The processes that one has started.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    let lists: Vec<String> = threads.flatten().map(of).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

fn installed(api: RuntimeApi) -> PathBuf {
    match api {
        RuntimeApi::CargoLambda => {
            // What it depends on is a linker for other machines, of 600 MB.
            let package = format!("--no-deps cargo-lambda=={CARGO_LAMBDA}");
            python(&format!("cargo-lambda-{CARGO_LAMBDA}"), &package, "").join("bin/cargo-lambda")
        }
        RuntimeApi::Emulator => {
            let package = format!("--no-deps aws-sam-cli=={SAM}");
            let copy = "cp lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-$(uname -m | sed s/aarch64/arm64/) rie \
                        && chmod +x rie && rm -r lib";
            python(&format!("aws-lambda-rie-{SAM}"), &package, copy).join("rie")
        }
    }
}

/// A Python with SAM's translator, which makes templates of `CloudFormation` of templates of SAM, and with a linter of those.
///
/// # Panics
/// When it cannot be installed.
pub fn sam_python() -> PathBuf {
    let name = format!("sam-translator-{TRANSLATOR}-{LINTER}");
    let packages = format!("aws-sam-translator=={TRANSLATOR} cfn-lint=={LINTER}");
    python(&name, &packages, "").join("bin/python3")
}
