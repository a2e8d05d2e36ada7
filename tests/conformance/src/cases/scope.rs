//! What a handler sees of a message, and what others see of one that it sends.

use std::sync::{Arc, Mutex};

use amgi::{Bytes, Headers, Message, Settlement, address::Pattern};
use tokio::sync::mpsc;

use crate::{
    probe::{Began, Mark, Probe},
    stage::{Broken, Outcome, Stage, channel, ensure, text},
    subject::{Ability, Subject},
};

/// What came in, and what became of a send.
struct Exchange {
    began: Began,
    sent: Result<Message, String>,
}

/// Publishes `incoming` to an application that sends `outgoing`; both get their addresses here.
async fn exchange<S: Subject>(
    stage: &Stage<S>,
    mut incoming: Message,
    mut outgoing: Message,
) -> Outcome<Exchange> {
    incoming.address = stage.address("in");
    outgoing.address = stage.address("out");
    let mut watch = stage.watch(&outgoing.address).await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let outgoing = Arc::new(outgoing);
    let probe = Probe::new([channel(&incoming.address)], move |cx| {
        let (outgoing, tell) = (outgoing.clone(), tell.clone());
        async move {
            let sent = cx.send((*outgoing).clone()).await;
            let _ = tell.send(sent.map_err(|error| error.to_string()));
            Settlement::Ack
        }
    });
    let (running, mut seen) = stage.start(probe, stage.run()).await?;
    stage.publish(&[incoming]).await?;
    let began = seen.began().await?;
    let sent = stage.within("a send", told.recv()).await?;
    let sent = match sent.ok_or_else(|| Broken::new("the handler vanished in the middle of a send"))? {
        Ok(()) => Ok(stage.arrived(&mut watch, "the message that was sent").await?),
        Err(error) => Err(error),
    };
    running.stop().await?;
    Ok(Exchange { began, sent })
}

fn sent(result: Result<Message, String>) -> Outcome<Message> {
    result.map_err(|error| Broken::new(format!("the send fails: {error}")))
}

pub(crate) async fn a_scope_is_the_message<S: Subject>(stage: &Stage<S>) -> Outcome {
    let mut message = Message::new("").payload(r#"{"id":1}"#);
    message.bindings = stage.subject.bindings();
    let Exchange { began, .. } = exchange(stage, message.clone(), Message::new("").payload("x")).await?;
    let got = began.cx.message();
    let address = stage.address("in");
    ensure!(got.address == address, "the address is {:?}, not {address:?}", got.address);
    ensure!(got.payload == message.payload, "payload: {:?}, not {:?}", got.payload, message.payload);
    has_bindings(got, &message)?;
    let protocols: Vec<_> = got.bindings.iter().map(|binding| &binding.protocol).collect();
    ensure!(
        protocols.windows(2).all(|pair| pair[0] == pair[1]),
        "bindings of several protocols: {protocols:?}"
    );
    ensure!(began.cx.state().get::<Mark>().is_some(), "what startup put into the state is not there");
    let extensions: Vec<_> = began.cx.extensions().iter().map(|(name, _)| name.to_owned()).collect();
    let known = stage.subject.extensions();
    ensure!(extensions == known, "extensions: {extensions:?}, not {known:?}");
    ensure!(began.attempt == 1, "this is the first attempt, not number {}", began.attempt);
    Ok(())
}

/// Whether these are the headers; where different names have no order, those of each name must be in theirs.
fn has_headers<S: Subject>(stage: &Stage<S>, way: &str, got: &Headers, wanted: &Headers) -> Outcome {
    let ordered = |headers: &Headers| {
        let mut pairs: Vec<_> = headers.iter().cloned().collect();
        if !stage.can(Ability::HeaderOrder) {
            pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        pairs
    };
    ensure!(ordered(got) == ordered(wanted), "{way} the headers {got:?}, not {wanted:?}");
    Ok(())
}

fn has_bindings(got: &Message, wanted: &Message) -> Outcome {
    for binding in &wanted.bindings {
        let value = got.bindings.get(&binding.protocol, &binding.field);
        ensure!(value == Some(&binding.value), "binding {binding:?} came as {value:?}");
    }
    Ok(())
}

pub(crate) async fn a_send_is_the_message<S: Subject>(stage: &Stage<S>) -> Outcome {
    let mut message = Message::new("").payload(r#"{"id":2}"#);
    message.bindings = stage.subject.bindings();
    let Exchange { sent: result, .. } =
        exchange(stage, Message::new("").payload("x"), message.clone()).await?;
    let got = sent(result)?;
    ensure!(got.payload == message.payload, "payload: {:?}, not {:?}", got.payload, message.payload);
    has_bindings(&got, &message)
}

/// Both ways with these headers, which need these abilities. What is to be said of a send where one is missing, `otherwise`
/// says.
async fn headers<S: Subject>(
    stage: &Stage<S>,
    headers: &[(&'static str, &'static [u8])],
    needs: &[Ability],
    otherwise: impl FnOnce(Result<Message, String>) -> Outcome,
) -> Outcome {
    let plain = Message::new("").payload("x");
    let message = headers.iter().fold(plain.clone(), |message, (name, value)| message.header(*name, *value));
    if !needs.iter().all(|need| stage.can(*need)) {
        let Exchange { sent: result, .. } = exchange(stage, plain, message).await?;
        if stage.can(Ability::Headers) {
            return otherwise(result);
        }
        // They are left out, and the send is none the worse for it.
        let got = sent(result)?;
        ensure!(
            got.headers.is_empty(),
            "headers {:?}, and the subject says that there are none",
            got.headers
        );
        return Ok(());
    }
    let Exchange { began, sent: result } = exchange(stage, message.clone(), message.clone()).await?;
    let (got, out) = (&began.cx.message().headers, sent(result)?.headers);
    has_headers(stage, "received", got, &message.headers)?;
    has_headers(stage, "sent", &out, &message.headers)
}

pub(crate) async fn headers_arrive_in_order<S: Subject>(stage: &Stage<S>) -> Outcome {
    let pairs: &[(_, &[u8])] = &[("second", b"2"), ("third", b"{}"), ("first", "\u{fc}".as_bytes())];
    headers(stage, pairs, &[Ability::Headers, Ability::HeaderOrder], |_| Ok(())).await
}

pub(crate) async fn headers_repeat_in_order<S: Subject>(stage: &Stage<S>) -> Outcome {
    let pairs: &[(_, &[u8])] = &[("a", b"1"), ("b", b"2"), ("a", b"3")];
    headers(stage, pairs, &[Ability::Headers, Ability::RepeatedHeaders], |sent| {
        let count = sent.map_or(0, |got| got.headers.iter().filter(|(name, _)| &name[..] == b"a").count());
        ensure!(count <= 1, "a header is there {count} times, and the subject says that it cannot be");
        Ok(())
    })
    .await
}

pub(crate) async fn headers_hold_any_bytes<S: Subject>(stage: &Stage<S>) -> Outcome {
    let pairs: &[(_, &[u8])] = &[("bytes", b"\xff\x00\xfe")];
    headers(stage, pairs, &[Ability::Headers, Ability::BinaryHeaders], |sent| {
        ensure!(sent.is_err(), "a header that the broker cannot hold is sent, and no error");
        Ok(())
    })
    .await
}

/// Both ways with this payload; an error of the send where the broker cannot carry it.
async fn payload<S: Subject>(stage: &Stage<S>, payload: Bytes, needs: Ability) -> Outcome {
    let message = Message::new("").payload(payload.clone());
    if !stage.can(needs) {
        let Exchange { sent: result, .. } = exchange(stage, Message::new("").payload("x"), message).await?;
        ensure!(result.is_err(), "a payload that the broker cannot carry is sent, and no error");
        return Ok(());
    }
    let Exchange { began, sent: result } = exchange(stage, message.clone(), message).await?;
    let out = sent(result)?;
    for (way, got) in [("received", began.cx.message()), ("sent", &out)] {
        let got = got.payload.as_ref();
        // A large one is nothing to print.
        ensure!(
            got == Some(&payload),
            "{way} {:?} bytes, which are not the {} that were given",
            got.map(Bytes::len),
            payload.len()
        );
    }
    Ok(())
}

pub(crate) async fn a_payload_may_be_empty<S: Subject>(stage: &Stage<S>) -> Outcome {
    payload(stage, Bytes::new(), Ability::EmptyPayload).await
}

pub(crate) async fn a_payload_may_be_any_bytes<S: Subject>(stage: &Stage<S>) -> Outcome {
    payload(stage, (0..=255_u8).collect(), Ability::BinaryPayload).await
}

pub(crate) async fn a_payload_may_be_large<S: Subject>(stage: &Stage<S>) -> Outcome {
    let bytes = (0..1024 * 1024_usize).map(|n| b'a' + u8::try_from(n % 23).unwrap_or(0));
    payload(stage, bytes.collect(), Ability::LargePayload).await
}

pub(crate) async fn a_payload_may_be_absent<S: Subject>(stage: &Stage<S>) -> Outcome {
    let Exchange { began, sent: result } = exchange(stage, Message::new(""), Message::new("")).await?;
    let out = sent(result)?;
    for (way, got) in [("received", began.cx.message()), ("sent", &out)] {
        ensure!(text(got).is_empty(), "{way} {:?}, not nothing", got.payload);
        if stage.can(Ability::AbsentPayload) {
            ensure!(got.payload.is_none(), "{way} an empty payload, not an absent one");
        }
    }
    Ok(())
}

pub(crate) async fn parameters_are_matched<S: Subject>(stage: &Stage<S>) -> Outcome {
    let pattern = stage.address("{site}.lamp-{lamp}.on");
    let addresses = ["north.lamp-1.on", "north.desk-1.on", "south.lamp-2.on"].map(|end| stage.address(end));
    let mut run = stage.run();
    run.addresses = addresses.to_vec();
    let (running, mut seen) = stage.start(Probe::content([channel(&pattern)]), run).await?;
    for address in &addresses {
        stage.publish_texts(address, &[address]).await?;
    }
    let came = Mutex::new(Vec::new());
    let take = |began: Began| {
        let mut came = came.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        came.push(began.cx.address().to_owned());
        let parsed = Pattern::parse(&pattern).ok().and_then(|pattern| {
            let [site, lamp] = pattern.captures(began.cx.address())?;
            Some((site.to_owned(), lamp.to_owned()))
        });
        ensure!(parsed.is_some(), "{:?} does not fit {pattern:?}", began.cx.address());
        ensure!(
            began.text() == began.cx.address(),
            "{:?} has the address {:?}",
            began.text(),
            began.cx.address()
        );
        Ok(())
    };
    for _ in 0..2 {
        take(seen.began().await?)?;
    }
    stage.quiet().await;
    let more = seen.rest_began();
    running.stop().await?;
    ensure!(more.is_empty(), "{more:?} comes, which does not fit {pattern:?} or was handled already");
    let mut came = came.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    came.sort();
    ensure!(came == [&*addresses[0], &*addresses[2]], "{came:?}");
    Ok(())
}
