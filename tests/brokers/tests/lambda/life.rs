//! The life of a function: its start, its deadlines, and its end.

use std::time::{Duration, Instant};

use amgi_brokers_tests::RuntimeApi;
use serde_json::{Value, json};

use crate::{failures, function, function_with, given, queued};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_done_at_the_deadline_has_failed() {
    let variables = [("ADDRESSES", "orders"), ("AMGI_LAMBDA_MARGIN", "0.5")];
    let mut function = function_with(RuntimeApi::Emulator, 3, &variables).await;
    assert_eq!(function.invoke(&queued(&["warm"])).await, Ok(failures(&[])));
    let pid = function.pid();
    let since = Instant::now();
    assert_eq!(function.invoke(&queued(&["a", "hang", "b", "slow"])).await, Ok(failures(&["1"])));
    let took = since.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_millis(2950), "{took:?}");
    assert_eq!(function.invoke(&queued(&["again"])).await, Ok(failures(&[])));
    assert_eq!(function.pid(), pid, "it was not ended for it");
    let starts = function.told().iter().filter(|told| **told == "startup").count();
    assert_eq!(starts, 1, "it stays warm");
}

async fn ends_well(api: RuntimeApi) {
    let mut function = function(api, "orders").await;
    assert_eq!(function.invoke(&queued(&["a"])).await, Ok(failures(&[])));
    let status = function.terminate().await;
    assert!(status.is_none_or(|status| status.success()), "{status:?}");
    assert_eq!(function.told().last(), Some(&json!("shutdown")), "{}", function.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_shut_down() {
    ends_well(RuntimeApi::CargoLambda).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_shut_down_under_awss_emulator() {
    ends_well(RuntimeApi::Emulator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_at_hand_is_answered_first() {
    let mut function = function(RuntimeApi::Emulator, "orders").await;
    assert_eq!(function.invoke(&queued(&["a"])).await, Ok(failures(&[])));
    let pid = function.pid();
    let asked = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    };
    let event = queued(&["slow"]);
    let (answer, ()) = tokio::join!(function.invoke(&event), asked);
    assert_eq!(answer, Ok(failures(&[])), "{}", function.log());
    let ended = async {
        while function.told().last() != Some(&json!("shutdown")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    amgi_brokers_tests::within("its shutdown", ended).await;
    assert_eq!(given(&function).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_fails_is_told() {
    let mut function = function_with(RuntimeApi::CargoLambda, 30, &[("NO_START", "1")]).await;
    let status = function.ended().await.expect("its status");
    assert!(!status.success() && function.log().contains("no start"), "{status:?} {}", function.log());

    let mut function = function_with(RuntimeApi::Emulator, 30, &[("NO_START", "1")]).await;
    let error = function.invoke(&queued(&["a"])).await.expect_err("it has not started");
    assert!(error.kind == "Init.Failed" && error.message.contains("no start"), "{error}");
    assert_eq!(function.told().first(), Some(&Value::from("startup")));
}
