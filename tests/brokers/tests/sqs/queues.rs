//! Queues: what is missing, what is made, redrive policies, order, and handlers that take long.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use amgi::{BindingInfo, Disposition, Reason, Rejection, error::Part};

use super::*;

#[tokio::test]
async fn what_is_missing_is_an_error_that_names_all_of_it() {
    let broker = Sqs::shared(Emulator::Fauxqs);
    let (one, two) = (name("one"), name("two"));
    let channels = [one.clone(), two.clone()].map(|name| channel(name.clone()));
    let hand = Hand(broker.client());
    hand.make(&two, &[]).await;
    let (app, _began) = App::new(channels, |_| async { Settlement::Ack });
    let error = server(app, &broker).serve().await.unwrap_err().to_string();
    assert!(error.contains(&format!("queue `{one}` of channel `channel`")), "{error}");
    assert!(error.contains(&format!("queue `{two}--dlq` for the dead letters")), "{error}");
    assert!(error.contains("declare(true)"), "{error}");
}

#[tokio::test]
async fn what_is_missing_is_made_as_the_document_says() {
    let broker = Sqs::shared(Emulator::Fauxqs);
    let (queue, dead) = (name("orders"), name("given-up"));
    let json = format!(
        r#"{{"queue":{{"name":"{queue}","fifoQueue":true,"visibilityTimeout":7,"messageRetentionPeriod":3600,
            "redrivePolicy":{{"deadLetterQueue":{{"name":"{dead}"}},"maxReceiveCount":2}}}}}}"#
    );
    let bindings = Box::leak(Box::new([BindingInfo { protocol: "sqs", json: json.leak() }]));
    let channel = ChannelInfo { bindings, ..channel("order.new") };
    let (app, mut began) = App::new([channel], |_| async { Settlement::Ack });
    let running = Running::start(server(app, &broker).declare(true)).await;
    let hand = Hand(broker.client());
    // Making one that is there is no error, where nothing differs: this gives its URL.
    let url = hand.0.get_queue_url().queue_name(format!("{queue}.fifo")).send().await.expect("it is made");
    let url = url.queue_url.expect("its URL");
    assert_eq!(hand.attribute(&url, QueueAttributeName::VisibilityTimeout).await.as_deref(), Some("7"));
    assert_eq!(
        hand.attribute(&url, QueueAttributeName::MessageRetentionPeriod).await.as_deref(),
        Some("3600")
    );
    let policy = hand.attribute(&url, QueueAttributeName::RedrivePolicy).await.expect("a redrive policy");
    assert!(policy.contains(&format!("{dead}.fifo")) && policy.contains('2'), "{policy}");
    hand.send_grouped(&url, "g", "one").await;
    let message = within("the message", began.recv()).await.expect("it comes");
    assert_eq!((&*message.address, payload(&message).as_str()), ("order.new", "one"));
    running.stop().await;
}

async fn redriven(emulator: Emulator, fifo: bool) {
    let broker = Sqs::shared(emulator);
    let hand = Hand(broker.client());
    let ending = if fifo { ".fifo" } else { "" };
    let attributes: &[_] = if fifo { &[(QueueAttributeName::FifoQueue, "true")] } else { &[] };
    let dead = hand.make(&format!("{}{ending}", name("dead")), attributes).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":2}}"#, hand.arn(&dead).await);
    let redrive = (QueueAttributeName::RedrivePolicy, policy.as_str());
    let address = format!("{}{ending}", name("in"));
    let url = hand.make(&address, &[attributes, &[redrive]].concat()).await;
    let (app, mut began) = App::new([channel(address)], |cx| async move {
        match payload(cx.message()).as_str() {
            "poison" => failed("no luck"),
            "wrong" => Settlement::Fail {
                disposition: Disposition::DeadLetter,
                reason: Reason::Rejected(Rejection::new(Part::Payload, "/id", "minimum", "at least 1")),
            },
            _ => Settlement::Ack,
        }
    });
    let running = Running::start(server(app, &broker)).await;
    for body in ["poison", "behind", "wrong"] {
        if fifo { hand.send_grouped(&url, "g", body).await } else { hand.send(&url, body).await }
    }
    let mut letters = Vec::new();
    for _ in 0..2 {
        letters.push(hand.take(&dead).await);
    }
    letters.sort_by(|one, other| one.body.cmp(&other.body));
    assert_eq!([text(&letters[0]), text(&letters[1])], ["poison", "wrong"]);
    // SQS moves what it counts; where attempts are in process, this server sends.
    assert_eq!(attribute(&letters[0], "amgi-dead-letter-kind"), fifo.then_some("failed"));
    assert_eq!(attribute(&letters[1], "amgi-dead-letter-kind"), Some("rejected"));
    let mut came = Vec::new();
    while let Ok(message) = began.try_recv() {
        came.push(payload(&message));
    }
    if fifo {
        assert_eq!(came, ["poison", "poison", "behind", "wrong"], "a group waits for what fails");
    } else {
        assert_eq!(came.iter().filter(|text| *text == "poison").count(), 2, "{came:?}");
    }
    running.stop().await;
    assert_eq!((hand.waiting(&dead).await, hand.waiting(&url).await), (0, 0));
}

#[tokio::test]
async fn a_redrive_policy_counts_and_moves() {
    redriven(Emulator::Fauxqs, false).await;
}

#[tokio::test]
async fn a_redrive_policy_of_a_fifo_queue_keeps_the_order() {
    redriven(Emulator::Fauxqs, true).await;
}

#[tokio::test]
async fn a_redrive_policy_counts_and_moves_on_moto() {
    redriven(Emulator::Moto, false).await;
}

#[tokio::test]
async fn what_is_behind_a_dead_letter_stays_on_moto() {
    // It gives them together, and counts a delivery for each.
    redriven(Emulator::Moto, true).await;
}

#[tokio::test]
async fn dead_letters_are_told_apart_by_the_message_they_were() {
    let broker = Sqs::shared(Emulator::Fauxqs);
    let hand = Hand(broker.client());
    let fifo = &[(QueueAttributeName::FifoQueue, "true")];
    let dead = hand.make(&format!("{}.fifo", name("dead")), fifo).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":2}}"#, hand.arn(&dead).await);
    let redrive = (QueueAttributeName::RedrivePolicy, policy.as_str());
    let (mut channels, mut urls) = (Vec::new(), Vec::new());
    for (key, queue) in [("one", name("one")), ("two", name("two"))] {
        let address = format!("{queue}.fifo");
        urls.push(hand.make(&address, &[fifo[0].clone(), redrive.clone()]).await);
        channels.push(ChannelInfo::new(key, address));
    }
    let (app, _began) = App::new(channels, |_| async { failed("no luck") });
    let running = Running::start(server(app, &broker)).await;
    // Ids are those of a queue: both have a message with this one.
    let send = async |url: &str| {
        let request = hand.0.send_message().queue_url(url).message_body("poison");
        request.message_group_id("g").message_deduplication_id("7").send().await.expect("it is taken");
    };
    for url in &urls {
        send(url).await;
    }
    let letters = [hand.take(&dead).await, hand.take(&dead).await];
    let from: std::collections::BTreeSet<_> =
        letters.iter().map(|letter| attribute(letter, "amgi-dead-letter-address")).collect();
    assert_eq!(from.len(), 2, "{from:?}");
    running.stop().await;
    assert_eq!((hand.waiting(&urls[0]).await, hand.waiting(&urls[1]).await), (0, 0));
}

#[tokio::test]
async fn a_group_keeps_its_order_whatever_a_poll_gives() {
    // moto gives several messages of a group at a time.
    let broker = Sqs::shared(Emulator::Moto);
    let hand = Hand(broker.client());
    let address = format!("{}.fifo", name("in"));
    let url = hand.make(&address, &[(QueueAttributeName::FifoQueue, "true")]).await;
    for number in 0..6 {
        for group in ["a", "b"] {
            hand.send_grouped(&url, group, &format!("{group}{number}")).await;
        }
    }
    let (app, mut began) = App::new([channel(address)], |cx| async move {
        let fails = payload(cx.message()) == "a2" && cx.attempt() < 3;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if fails { failed("not yet") } else { Settlement::Ack }
    });
    let running = Running::start(server(app, &broker).declare(true)).await;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    while a.len() < 8 || b.len() < 6 {
        let text = payload(&within("all messages", began.recv()).await.expect("they come"));
        if text.starts_with('a') { a.push(text) } else { b.push(text) }
    }
    assert_eq!(a, ["a0", "a1", "a2", "a2", "a2", "a3", "a4", "a5"]);
    assert_eq!(b, ["b0", "b1", "b2", "b3", "b4", "b5"]);
    running.stop().await;
}

#[tokio::test]
async fn a_long_handler_keeps_its_message() {
    let broker = Sqs::shared(Emulator::Fauxqs);
    let hand = Hand(broker.client());
    let address = name("in");
    let url = hand.make(&address, &[]).await;
    let count = Arc::new(AtomicU32::new(0));
    let (app, mut began) = App::new([channel(address)], {
        let count = count.clone();
        move |_| {
            let count = count.clone();
            async move {
                // Twice as long as it is hidden.
                tokio::time::sleep(Duration::from_secs(4)).await;
                count.fetch_add(1, Ordering::SeqCst);
                Settlement::Ack
            }
        }
    });
    let running = Running::start(server(app, &broker).declare(true)).await;
    hand.send(&url, "slow").await;
    within("the message", began.recv()).await.expect("it comes");
    let again = tokio::time::timeout(Duration::from_secs(5), began.recv()).await;
    assert!(again.is_err(), "it was shown to somebody again: {again:?}");
    running.stop().await;
    assert_eq!((count.load(Ordering::SeqCst), hand.waiting(&url).await), (1, 0));
}
