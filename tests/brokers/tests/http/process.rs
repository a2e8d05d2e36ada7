//! A process that is killed, or asked to end, in the middle of a handler.

use amgi_brokers_tests::Process;

use super::{limits::raw, post};

const REQUEST: &[u8] =
    b"POST /work HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nhang";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_a_handler_at_a_kill_has_no_answer() {
    let at = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("its address")
    };
    let place = at.to_string();
    let args = ["http", &place, "/work"];
    let mut worker = Process::start(env!("CARGO_BIN_EXE_worker"), &args);
    worker.expect(&["startup", "ready"]).await;
    let asked = tokio::spawn(raw(at, REQUEST));
    worker.expect(&["begin hang"]).await;
    worker.kill().await;
    assert_eq!(asked.await.expect("no panic"), "", "no answer, so its sender sends it again");

    let mut worker = Process::start(env!("CARGO_BIN_EXE_worker"), &args);
    worker.expect(&["startup", "ready"]).await;
    let again = tokio::spawn(post(at, "/work", &[], "slow"));
    worker.expect(&["begin slow"]).await;
    worker.terminate();
    worker.expect(&["end slow", "shutdown"]).await;
    assert_eq!(again.await.expect("no panic").status, 204);
    assert!(worker.ended().await.success());
}
