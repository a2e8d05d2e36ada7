//! A folder with a document, and the command in it.

#![allow(dead_code)] // each test uses a part

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::SystemTime,
};

/// Receives one message, answers another, sends a third.
pub(crate) const DOCUMENT: &str = r"asyncapi: 3.1.0
info: {title: Users, version: 1.0.0, description: What happens to users.}
channels:
  created:
    address: user.created
    messages:
      UserCreated:
        summary: A user was created.
        payload:
          type: object
          required: [id]
          properties: {id: {type: integer}, email: {type: string}}
        examples:
          - {payload: {id: 1, email: it's@example.org}}
  find:
    address: user.find
    messages:
      FindUser: {payload: {type: object, properties: {id: {type: integer}}}}
  found:
    address: user.found
    messages:
      UserFound:
        payload: {type: object, properties: {name: {type: string}}}
        examples: [{payload: {name: Ada}}]
  welcome:
    address: user.{userId}.welcome
    parameters: {userId: {description: Who.}}
    messages:
      UserWelcome: {payload: {type: object, properties: {text: {type: string}}}}
operations:
  onUserCreated:
    action: receive
    channel: {$ref: '#/channels/created'}
  findUser:
    action: receive
    channel: {$ref: '#/channels/find'}
    reply: {channel: {$ref: '#/channels/found'}}
  sendWelcome:
    action: send
    channel: {$ref: '#/channels/welcome'}
";

/// A temporary folder that holds `user.yaml`.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self::with(DOCUMENT)
    }

    pub(crate) fn with(document: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("user.yaml", document);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Replaces a part of a file that must be in it.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "`{from}` is not in {name}:\n{text}");
        self.write(name, &text.replace(from, to));
    }

    /// Every file below `name` with its time of modification and text.
    pub(crate) fn snapshot(&self, name: &str) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
        let mut files = BTreeMap::new();
        collect(&self.path(name), &mut files);
        files
    }

    /// Runs `amgi-gen` in the folder.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_amgi-gen"))
            .args(args)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran::new(&output)
    }

    /// Runs `amgi-gen` in the folder, which must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}\n{}{}", ran.stdout, ran.stderr);
        ran
    }
}

fn collect(path: &Path, files: &mut BTreeMap<PathBuf, (SystemTime, Vec<u8>)>) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            files.insert(path.clone(), (modified, fs::read(&path).unwrap()));
        }
    }
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn new(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// Whether standard error holds all of these.
    pub(crate) fn says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in\n{}", self.stderr);
        }
    }
}
