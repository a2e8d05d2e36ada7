//! Sends: in the broker's hands when they return, an error when not; and requests.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use amgi::{
    Application, Bytes, ChannelInfo, Context, ExampleInfo, Message, MessageSend, Outgoing, Rejection,
    Replies, Request, Settlement, StartupError, State, TypedMessage, codegen, error::Part, reply::Location,
    reply::ReplyInfo,
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    probe::{Probe, Seen},
    stage::{Broken, Outcome, Running, Stage, channel, ensure, text},
    subject::{Ability, Run, Subject},
};

/// Runs an application that gives its sender away with the first message, which is left unsettled until the end.
async fn sender<S: Subject>(stage: &Stage<S>, run: Run) -> Outcome<(Arc<dyn MessageSend>, Running, Seen)> {
    let address = stage.address("start");
    let (give, mut take) = mpsc::unbounded_channel();
    let probe = Probe::new([channel(&address)], move |cx| {
        let _ = give.send(cx.sender().clone());
        async { Settlement::Ack }
    });
    let (running, seen) = stage.start(probe, run).await?;
    stage.publish_texts(&address, &["start"]).await?;
    let sender = stage.within("the first message", take.recv()).await?;
    let sender = sender.ok_or_else(|| Broken::new("the server vanished before the first message"))?;
    Ok((sender, running, seen))
}

pub(crate) async fn a_send_that_returned_is_in_the_brokers_hands<S: Subject>(stage: &Stage<S>) -> Outcome {
    let out = stage.address("out");
    let mut watch = stage.watch(&out).await?;
    let (sender, running, seen) = sender(stage, stage.run()).await?;
    let sent = stage.within("the send", sender.send(Message::new(out).payload("sent"))).await?;
    // Whatever the server still has is lost now. Contexts have its sender too.
    drop((sender, seen));
    running.cut().await;
    sent.map_err(|error| Broken::new(error.to_string()))?;
    let message = stage.arrived(&mut watch, "what was sent before the server died").await?;
    ensure!(text(&message) == "sent", "{message:?}");
    Ok(())
}

pub(crate) async fn many_sends_at_once_all_arrive<S: Subject>(stage: &Stage<S>) -> Outcome {
    const SENDS: usize = 200;
    let out = stage.address("out");
    let mut watch = stage.watch(&out).await?;
    let (sender, running, _seen) = sender(stage, stage.run()).await?;
    let mut sends = JoinSet::new();
    for n in 0..SENDS {
        let (sender, message) = (sender.clone(), Message::new(out.clone()).payload(n.to_string()));
        sends.spawn(async move { sender.send(message).await });
    }
    while let Some(sent) = stage.within("a send", sends.join_next()).await? {
        let sent = sent.map_err(|error| Broken::new(format!("a send breaks down: {error}")))?;
        sent.map_err(|error| Broken::new(error.to_string()))?;
    }
    let mut came = Vec::new();
    for _ in 0..SENDS {
        came.push(text(&stage.arrived(&mut watch, "one of many sends").await?));
    }
    running.stop().await?;
    came.sort_by_key(|text| text.parse::<usize>().unwrap_or(SENDS));
    let all: Vec<String> = (0..SENDS).map(|n| n.to_string()).collect();
    ensure!(came == all, "not each of the sends came once: {came:?}");
    Ok(())
}

pub(crate) async fn a_refused_send_is_an_error<S: Subject>(stage: &Stage<S>) -> Outcome {
    let out = stage.address("out");
    let mut watch = stage.watch(&out).await?;
    let (sender, running, _seen) = sender(stage, stage.run()).await?;
    if let Some(refused) = stage.subject.refused() {
        let message = Message::new(refused.clone()).payload("refused");
        let Err(error) = stage.within("the refusal", sender.send(message)).await? else {
            return Err(Broken::new("the broker refuses the send, and the caller hears nothing of it"));
        };
        ensure!(error.address == *refused, "the error is about `{}`, not `{refused}`", error.address);
    } else {
        ensure!(!stage.can(Ability::RefusedSends), "the subject names no address that the broker refuses");
    }
    // The others go on.
    let sent = stage.within("the next send", sender.send(Message::new(out).payload("taken"))).await?;
    sent.map_err(|error| Broken::new(format!("a refused send disturbs others: {error}")))?;
    let message = stage.arrived(&mut watch, "the next send").await?;
    ensure!(text(&message) == "taken", "{message:?}");
    running.stop().await
}

pub(crate) async fn a_send_without_a_broker_is_an_error<S: Subject>(stage: &Stage<S>) -> Outcome {
    if !stage.can(Ability::BrokerLoss) {
        return Ok(());
    }
    let out = stage.address("out");
    let mut run = stage.run();
    run.send_timeout = Duration::from_millis(500);
    let (sender, running, _seen) = sender(stage, run).await?;
    stage.within("the broker's end", stage.subject.break_broker()).await?;
    let message =
        |payload: &str| Message::new(out.clone()).payload(Bytes::copy_from_slice(payload.as_bytes()));
    let lost = stage.within("an error of the send", sender.send(message("lost"))).await;
    stage.within("the broker's return", stage.subject.restore_broker()).await?;
    ensure!(lost?.is_err(), "a send without a broker succeeds");
    let mut watch = stage.watch(&out).await?;
    let again = async {
        while sender.send(message("found")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    stage.within("a send after the broker's return", again).await?;
    let found = async {
        // The one that failed may have arrived all the same.
        loop {
            let message = stage.arrived(&mut watch, "what was sent after the broker's return").await?;
            if text(&message) == "found" {
                return Outcome::Ok(());
            }
        }
    };
    found.await?;
    running.stop().await
}

/// A reply as it came.
struct Reply(Bytes);

impl TypedMessage for Reply {
    const NAME: &'static str = "reply";
    const EXAMPLES: &'static [ExampleInfo] = &[];

    fn decode(message: &Message) -> Result<Self, Rejection> {
        let missing = || Rejection::new(Part::Payload, "", "", "a payload");
        message.payload.clone().map(Self).ok_or_else(missing)
    }

    fn encode(&self, message: &mut Message) -> Result<(), Rejection> {
        message.payload = Some(self.0.clone());
        Ok(())
    }
}

/// An application that receives replies too, as generated ones do.
struct Asking(Probe, Replies, Vec<ChannelInfo>);

impl Application for Asking {
    fn channels(&self) -> &[ChannelInfo] {
        &self.2
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        self.1.startup(state).await?;
        self.0.startup(state).await
    }

    async fn message(&self, cx: &Context) -> Settlement {
        match codegen::answer(&self.1, cx) {
            Some(settlement) => settlement,
            None => self.0.message(cx).await,
        }
    }

    async fn shutdown(&self) -> Result<(), StartupError> {
        self.0.shutdown().await
    }
}

const ID: Location = Location::Payload("/id");

pub(crate) async fn a_handler_can_wait_for_a_reply<S: Subject>(stage: &Stage<S>) -> Outcome {
    if !stage.can(Ability::Replies) {
        return Ok(());
    }
    let [start, questions, answers] = ["start", "questions", "answers"].map(|what| stage.address(what));
    let address: &'static str = answers.to_string().leak();
    let info: &'static ReplyInfo = Box::leak(Box::new(ReplyInfo {
        location: None,
        address: Some(address),
        correlation: Some((ID, ID)),
    }));
    let channels = vec![ChannelInfo { replies: true, ..ChannelInfo::new("answers", address) }];
    let replies = codegen::replies(channels, &[], &[], &[ID], false);
    let got = Arc::new(Mutex::new(Vec::new()));
    let (probe, seen) = Probe::new([channel(&start)], {
        let (replies, questions, got) = (replies.clone(), questions.clone(), got.clone());
        move |cx| {
            let (replies, questions, got) = (replies.clone(), questions.clone(), got.clone());
            async move {
                let question = Message::new(questions).payload(r#"{"id":""}"#);
                let outgoing = Outgoing::new(cx.sender(), Ok(question));
                let reply = Request::<Reply>::new(outgoing, Some(&replies), info).await;
                let reply = reply.map_or_else(
                    |error| error.to_string(),
                    |Reply(bytes)| String::from_utf8_lossy(&bytes).into_owned(),
                );
                got.lock().unwrap_or_else(PoisonError::into_inner).push(reply);
                Settlement::Ack
            }
        }
    });
    let channels = probe.channels().iter().cloned().chain(codegen::only_replies(&replies)).collect();
    let mut run = stage.run();
    // The handler that waits is in the way of everything else.
    run.concurrency = 1;
    let mut watch = stage.watch(&questions).await?;
    let (mut running, mut seen) = stage.start((Asking(probe, replies, channels), seen), run).await?;
    let mut expected = Vec::new();
    for draining in [false, true] {
        stage.publish_texts(&start, &["go"]).await?;
        let question = text(&stage.arrived(&mut watch, "the request").await?);
        if draining {
            running.stop.request();
            stage.quiet().await;
        }
        let answer = question.replacen('}', r#","text":"answer"}"#, 1);
        stage.publish_texts(&answers, &[&answer]).await?;
        expected.push(answer);
        if !draining {
            seen.ended().await?;
        }
    }
    running.ended_well().await?;
    let got = got.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(*got == expected, "replies: {got:?}, not {expected:?}");
    Ok(())
}
