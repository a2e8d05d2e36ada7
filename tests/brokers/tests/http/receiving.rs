//! Requests become messages, and what becomes of those is the answer.

use std::{sync::Arc, time::Duration};

use amgi::{BatchInfo, ChannelInfo, Disposition, NotImplemented, Reason, Settlement};
use amgi_brokers_tests::{App, failed, rejected};
use axum::{Router, routing::get};
use tokio::sync::Semaphore;

use super::{
    BATCH, STRUCTURED, Target, ask, binding, bound, channel, event, header, next, post, server, start, text,
};

fn acks(addresses: &[&'static str]) -> (App, tokio::sync::mpsc::UnboundedReceiver<amgi::Message>) {
    App::new(addresses.iter().map(|address| channel(address)), |_| async { Settlement::Ack })
}

/// Path, headers, body; status and detail of the answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

/// Does what the payload says.
fn obeys() -> (App, tokio::sync::mpsc::UnboundedReceiver<amgi::Message>) {
    App::new([channel("orders")], |cx| async move {
        let with =
            |disposition| Settlement::Fail { disposition, reason: Reason::Failed("a secret".to_owned()) };
        match text(cx.message()) {
            "fail" => failed("a secret"),
            "later" => with(Disposition::RetryAfter(Duration::from_millis(1500))),
            "reject" => rejected("/id", "a number"),
            "dead" => with(Disposition::DeadLetter),
            "discard" => with(Disposition::Discard),
            "scaffold" => amgi::error::Failed::new(&NotImplemented).into(),
            "nothing" => Settlement::Unsettled,
            "panic" => panic!("a handler that panics, for a test"),
            _ => Settlement::Ack,
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_a_message_field_by_field() {
    let (app, mut began) = acks(&["/orders/{id}", "order.created"]);
    let (running, at) = start(server(app).path("/events")).await;
    let mut headers = event("order.created").to_vec();
    headers.extend([("ce-subject", "a%20%E2%82%AC"), ("x-trace", "t"), ("authorization", "Bearer secret")]);
    let structured = r#"{"specversion":"1.0","id":"1","source":"/test","type":"order.created","subject":"a €",
        "datacontenttype":"application/json","data":{"n": 1.0}}"#;
    for (path, headers, body, address) in [
        ("/events", &headers[..], r#"{"n": 1.0}"#, "order.created"),
        ("/events/", &[("content-type", STRUCTURED), ("x-trace", "t")], structured, "order.created"),
        ("/events/order.created", &headers[..], r#"{"n": 1.0}"#, "order.created"),
        ("/events/orders/a%20b?q=1", &headers[..], r#"{"n": 1.0}"#, "/orders/a%20b"),
    ] {
        let answer = post(at, path, headers, body).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{path}");
        let message = next(&mut began).await;
        assert_eq!((&*message.address, text(&message)), (address, r#"{"n": 1.0}"#));
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/test"),
            ("ce-type", "order.created"),
            ("ce-subject", "a €"),
            ("content-type", "application/json"),
            ("x-trace", "t"),
        ] {
            assert_eq!(header(&message, name), Some(value), "{path}: {name}");
        }
        assert_eq!(message.headers.len(), 7, "{:?}", message.headers);
        assert_eq!(binding(&message, "query"), path.contains('?').then_some(r#"{"q":"1"}"#));
        assert_eq!(binding(&message, "reply_to"), Some("amgi.response"));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_webhook_is_a_message_too() {
    let typed = r#"{"method":"PUT","query":{"type":"object","properties":{"n":{"type":"integer"}}}}"#;
    let (app, mut began) =
        App::new([channel("/hook"), bound("/typed", typed)], |_| async { Settlement::Ack });
    let (running, at) = start(server(app).routes(Router::new().route("/health", get(async || "well")))).await;
    assert_eq!(post(at, "/hook", &[("x-signature", "s")], "no json").await.status, 204);
    let message = next(&mut began).await;
    assert_eq!(
        (text(&message), header(&message, "x-signature"), message.headers.len()),
        ("no json", Some("s"), 1)
    );
    assert_eq!(post(at, "/hook", &[], "").await.status, 204);
    assert_eq!(next(&mut began).await.payload, None);

    assert_eq!(ask(at, "PUT", "/typed?n=5", &[], "x").await.status, 204);
    let message = next(&mut began).await;
    assert_eq!((binding(&message, "method"), binding(&message, "query")), (Some("PUT"), Some(r#"{"n":5}"#)));
    let answer = post(at, "/typed", &[], "x").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "PUT"));
    let answer = ask(at, "GET", "/health", &[], "").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"well"[..]));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_says_what_became_of_it() {
    let (app, _began) = obeys();
    let mut target = Target::start(&[]).await;
    let (running, at) = start(server(app).url(target.url())).await;
    for (says, status) in [
        ("ok", 204),
        ("discard", 204),
        ("fail", 500),
        ("panic", 500),
        ("nothing", 500),
        ("scaffold", 501),
        ("later", 503),
    ] {
        let answer = post(at, "/orders", &[], says).await;
        assert_eq!(answer.status, status, "{says}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), if says == "later" { "2" } else { "" });
        if status > 204 {
            answer.detail();
        }
    }
    // What lies at the dead-letter address is no business of its sender's any more.
    for (says, reason) in [("dead", "a secret"), ("reject", "payload `/id`: expected a number")] {
        assert_eq!(post(at, "/orders", &event("x"), says).await.status, 204, "{says}");
        let letter = target.next().await;
        assert_eq!(
            (letter.path.as_str(), letter.header("ce-type"), &letter.body[..]),
            ("/in", "orders.dlq", says.as_bytes())
        );
        assert_eq!(letter.header("amgi-dead-letter-reason"), reason);
        assert_eq!((letter.header("ce-id"), letter.header("ce-source")), ("1", "/test"));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_dead_lettered_is_refused() {
    let (app, _began) = obeys();
    let (running, at) = start(server(app)).await;
    let answer = post(at, "/orders", &[], "reject").await;
    assert_eq!((answer.status, answer.detail().as_str()), (422, "the message does not fit its description"));
    let violation = &answer.json()["violations"][0];
    assert_eq!(
        (&violation["part"], &violation["pointer"], &violation["expected"]),
        (&"payload".into(), &"/id".into(), &"a number".into())
    );
    assert_eq!(post(at, "/orders", &[], "dead").await.status, 500);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_is_told_why() {
    let (app, mut began) = acks(&["order.created", "/orders"]);
    let (running, at) = start(server(app).max_body(100)).await;
    let long = "x".repeat(101);
    let incomplete = [("ce-type", "order.created"), ("ce-specversion", "1.0")];
    let cases: &[Case<'_>] = &[
        ("/nowhere", &[], "", 404, "no channel has this path"),
        ("/", &event("unknown"), "", 404, "no channel takes events of the type `unknown`"),
        ("/", &[], "", 400, "here is the place of events"),
        ("/", &incomplete, "", 400, "an event must have `id`, `source`"),
        ("/orders", &[("content-type", STRUCTURED)], "{", 400, "the body is no event in JSON: "),
        ("/", &[("content-type", BATCH)], "[{}]", 400, "event 0: an event must have `id`, "),
        ("/", &[("content-type", "application/cloudevents+xml")], "", 415, "are not read"),
        ("/orders", &[("content-encoding", "gzip")], "", 415, "the content encoding \"gzip\" is not read"),
        ("/orders", &[], &long, 413, "a body may have 100 bytes"),
    ];
    for (path, headers, body, status, detail) in cases {
        let answer = post(at, path, headers, body).await;
        assert_eq!(answer.status, *status, "{path} {headers:?}: {answer:?}");
        assert!(answer.detail().contains(detail), "{answer:?} lacks {detail:?}");
    }
    assert_eq!(ask(at, "GET", "/orders", &[], "").await.status, 405);
    assert!(began.try_recv().is_err(), "no handler saw any of it");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_events_is_settled_each_by_itself() {
    let (app, mut began) = obeys();
    let (running, at) = start(server(app)).await;
    let list = |payloads: &[&str]| {
        let event = |says: &&str| {
            format!(
                r#"{{"specversion":"1.0","id":"1","source":"/","type":"orders","datacontenttype":"text/plain","data":"{says}"}}"#
            )
        };
        format!("[{}]", payloads.iter().map(event).collect::<Vec<_>>().join(","))
    };
    let headers = [("content-type", BATCH)];
    assert_eq!(post(at, "/", &headers, "[]").await.status, 204);
    assert_eq!(post(at, "/", &headers, &list(&["a", "b", "c"])).await.status, 204);
    for expected in ["a", "b", "c"] {
        let message = next(&mut began).await;
        assert_eq!((text(&message), binding(&message, "reply_to")), (expected, None));
    }
    let answer = post(at, "/", &headers, &list(&["a", "reject", "fail"])).await;
    assert_eq!(
        (answer.status, answer.detail().as_str()),
        (500, "2 of 3 events were not handled; the others were")
    );
    let events = &answer.json()["events"];
    assert_eq!((&events[0]["index"], &events[0]["status"]), (&1.into(), &422.into()));
    assert_eq!((&events[1]["index"], &events[1]["status"]), (&2.into(), &500.into()));
    // One that nobody takes keeps all of them out.
    while began.try_recv().is_ok() {}
    let mixed = list(&["a"]).replace(']', r#",{"specversion":"1.0","id":"1","source":"/","type":"other"}]"#);
    assert_eq!(post(at, "/", &headers, &mixed).await.status, 404);
    assert!(began.try_recv().is_err());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_asks_for_batches() {
    let batched = ChannelInfo {
        batch: Some(BatchInfo { size: 3, wait: Duration::from_millis(200) }),
        ..channel("orders")
    };
    // A batch of an application without one is handled one after the other; what counts is that all are there.
    let (app, mut began) = App::new([batched], |_| async { Settlement::Ack });
    let (running, at) = start(server(app).concurrency(1)).await;
    let event = r#"{"specversion":"1.0","id":"1","source":"/","type":"orders","data":1}"#;
    let list = format!("[{}]", [event; 7].join(","));
    let since = std::time::Instant::now();
    assert_eq!(post(at, "/", &[("content-type", BATCH)], &list).await.status, 204);
    // Three, three, and one that waited for others.
    assert!((190..2000).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    for _ in 0..7 {
        next(&mut began).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_before_its_handler_is_done() {
    let gate = Arc::new(Semaphore::new(0));
    let (app, mut began) = App::new([channel("/orders")], {
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.expect("open").forget();
                Settlement::Ack
            }
        }
    });
    let (running, at) = start(server(app)).await;
    let mut answer = tokio::spawn(post(at, "/orders", &[], "x"));
    next(&mut began).await;
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut answer).await.is_err());
    gate.add_permits(1);
    assert_eq!(answer.await.expect("no panic").status, 204);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_send_is_checked() {
    let (app, _began) = acks(&["/orders"]);
    let (running, at) = start(server(app).listen_token("s3cret").webhook_origins(["events.example"])).await;
    for (authorization, status) in [
        ("", 401),
        ("Bearer s3cre", 401),
        ("Bearer s3creT", 401),
        ("Basic s3cret", 401),
        ("bearer s3cret", 204),
    ] {
        let answer = post(at, "/orders", &[("authorization", authorization)], "x").await;
        assert_eq!(answer.status, status, "{authorization}");
        assert_eq!(answer.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
    }
    // The handshake of CloudEvents' webhooks.
    let answer = ask(at, "OPTIONS", "/orders", &[("webhook-request-origin", "Events.example")], "").await;
    assert_eq!((answer.status, answer.header("webhook-allowed-origin")), (200, "Events.example"));
    assert_eq!((answer.header("webhook-allowed-rate"), answer.header("allow")), ("*", "POST"));
    let answer = ask(at, "OPTIONS", "/", &[("webhook-request-origin", "other.example")], "").await;
    assert_eq!((answer.status, answer.header("webhook-allowed-origin")), (403, ""));
    assert_eq!(ask(at, "OPTIONS", "/orders", &[], "").await.header("allow"), "POST");
    running.stop().await;
}
