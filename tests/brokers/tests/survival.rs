//! A service under `run memory` outlives what its handlers do, and settles every message once.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// Nothing here takes longer.
const LONG: Duration = Duration::from_secs(60);

fn desk() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_desk"));
    command.args(["run", "memory"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

fn line(id: usize, topic: &str) -> String {
    format!(
        "{{\"address\":\"desk.tickets\",\"headers\":{{\"number\":\"{id}\"}},\"payload\":{{\"topic\":\"{topic}\"}}}}\n"
    )
}

async fn ended(mut child: Child) -> (Option<i32>, String, String) {
    let (mut out, mut err) = (String::new(), String::new());
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    timeout(LONG, async {
        tokio::try_join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err))
    })
    .await
    .expect("it ends")
    .unwrap();
    (child.wait().await.unwrap().code(), out, err)
}

#[tokio::test]
async fn panics_timeouts_and_failing_sends_are_survived() {
    let mut child = desk().spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for (id, topic) in ["fine", "panic", "fine", "send", "fine", "", "hang", "fine"].into_iter().enumerate() {
        stdin.write_all(line(id, topic).as_bytes()).await.unwrap();
    }
    drop(stdin);
    let (code, out, err) = ended(child).await;
    assert_eq!(code, Some(0), "{err}");
    let events: Vec<&str> = out.lines().collect();
    // Everything that failed is under the dead-letter address that the document gives, with its reason, and acknowledged.
    let letters = [
        (1, "panicked", "the printer is on fire"),
        (3, "failed", "the broker takes nothing"),
        (5, "rejected", "payload `/topic`"),
        (6, "timed-out", "handler took longer than 500ms"),
    ];
    for (id, kind, reason) in letters {
        let found = events.iter().any(|event| {
            event.contains("\"address\":\"desk.tickets.failed\"")
                && event.contains(&format!("\"number\":\"{id}\""))
                && event.contains(&format!("\"amgi-dead-letter-kind\":\"{kind}\""))
                && event.contains(reason)
        });
        assert!(found, "{id} {kind}:\n{out}");
    }
    let acks = events.iter().filter(|event| event.contains("\"type\":\"message.ack\"")).count();
    assert_eq!(acks, 8, "{out}");
}

#[tokio::test]
async fn a_startup_that_fails_is_the_error() {
    let mut child = desk().env("DESK_STARTUP", "no database").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may be gone before it reads.
    let _ = stdin.write_all(line(0, "fine").as_bytes()).await;
    drop(stdin);
    let (code, out, err) = ended(child).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("error: startup failed: no database"), "{err}");
}

#[tokio::test]
async fn sigterm_amid_a_thousand_messages_loses_none_and_settles_none_twice() {
    let mut child = desk().spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = tokio::spawn(async move {
        for id in 0..1000 {
            // What is behind the last one that is read is refused, or stays in the pipe.
            if stdin.write_all(line(id, &id.to_string()).as_bytes()).await.is_err() {
                break;
            }
        }
        stdin
    });
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reading = tokio::spawn(async move {
        let mut text = String::new();
        stderr.read_to_string(&mut text).await.map(|_| text)
    });
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acks = 0;
    while let Some(event) = timeout(LONG, lines.next_line()).await.expect("it ends").unwrap() {
        assert!(event.contains("\"type\":\"message.ack\""), "{event}");
        acks += 1;
        if acks == 300 {
            kill_process(pid, Signal::TERM).unwrap();
        }
    }
    let status = timeout(LONG, child.wait()).await.expect("it ends").unwrap();
    drop(writing.await);
    assert!(status.success(), "{status}");
    // What was begun was finished, in order, each once, and nothing else was.
    let text = reading.await.unwrap().unwrap();
    let handled: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("handled ")).collect();
    let expected: Vec<String> = (0..acks).map(|number| number.to_string()).collect();
    assert_eq!(handled, expected);
    assert!((300..1000).contains(&acks), "{acks} were settled");
}
