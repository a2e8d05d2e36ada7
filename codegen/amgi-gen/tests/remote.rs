//! References into the network, against a server on this machine.

mod common;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

use common::Folder;

/// Serves one file to as many as ask, until the test ends; gives its address.
fn serve(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut request).unwrap() > 2 {}
            let (status, body) = if request.starts_with("GET /types.yaml ") {
                ("200 OK", text)
            } else {
                ("404 Not Found", "")
            };
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    address
}

fn document(address: &str) -> String {
    format!(
        "asyncapi: 3.0.0
info: {{title: t, version: '1'}}
channels:
  a: {{address: a, messages: {{m: {{payload: {{$ref: '{address}#/User'}}}}}}}}
operations:
  onA: {{action: receive, channel: {{$ref: '#/channels/a'}}}}
"
    )
}

const TYPES: &str = "User: {type: object, properties: {name: {type: string}}}\n";

#[test]
fn fetching_is_asked_for_once() {
    let folder = Folder::with(&document(&format!("{}/types.yaml", serve(TYPES))));
    let refused = folder.run(&["user.yaml", "-o", "app"]);
    assert_eq!(refused.code, 1);
    refused.says(&["AG0310", "--allow-remote"]);
    assert!(!folder.exists("app"));

    let looked = folder.ok(&["check", "user.yaml", "--allow-remote"]);
    looked.says(&["no problems"]);
    assert!(!folder.exists("user.yaml.lock"), "`check` writes nothing");

    folder.ok(&["user.yaml", "-o", "app", "--allow-remote"]).says(&["written    user.yaml.lock"]);
    assert!(folder.read("app/src/user.rs").contains("pub struct User"));
    // Nobody is asked any more, and nothing changes.
    folder.ok(&["user.yaml", "-o", "app", "--check"]);
    folder.ok(&["user.yaml", "-o", "app", "--allow-remote", "--check"]);
}

#[test]
fn a_lock_file_that_would_change_is_a_difference() {
    let folder = Folder::with(&document(&format!("{}/types.yaml", serve(TYPES))));
    folder.ok(&["user.yaml", "-o", "app", "--allow-remote"]);
    std::fs::remove_file(folder.path("user.yaml.lock")).unwrap();
    let ran = folder.run(&["user.yaml", "-o", "app", "--allow-remote", "--check"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("user.yaml.lock") && ran.stdout.contains("sha256"), "{}", ran.stdout);
}

#[test]
fn what_the_network_refuses_is_said_at_the_reference() {
    let folder = Folder::with(&document(&format!("{}/nothing.yaml", serve(TYPES))));
    let ran = folder.run(&["user.yaml", "-o", "app", "--allow-remote"]);
    assert_eq!(ran.code, 1);
    ran.says(&["AG0311", "404", "user.yaml:4:"]);
    assert!(!folder.exists("app") && !folder.exists("user.yaml.lock"));
}
