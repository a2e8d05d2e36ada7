//! The loops that hand messages to the application.
//!
//! Requests wait for them in a queue, since a connection that breaks must not cut a handler short. What must hold: a message is
//! answered once, after its handler; after a stop none is begun, and who waits is told.

use std::sync::{Arc, Mutex, PoisonError};

use amgi::{
    Application, BatchInfo, Context, Message, MessageSend, SendError, SendFuture, Settlement,
    server::{Outcome, Policies, Stop, deliver, deliver_batch},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::message::{INBOX, PROTOCOL, RESPONSE, field};

/// What became of a message.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    /// What its handler answers.
    pub(crate) reply: Option<Message>,
}

/// A message, and who waits to hear what became of it. It is dropped when it is not handled any more.
pub(crate) struct Job {
    pub(crate) message: Message,
    pub(crate) answer: oneshot::Sender<Answered>,
}

/// What all lanes have in common.
pub(crate) struct Shared<A> {
    pub(crate) app: Arc<A>,
    pub(crate) policies: Policies,
    pub(crate) context: Context,
    pub(crate) stop: Stop,
}

/// Messages that are handled by the same loops.
pub(crate) struct Lane<A> {
    shared: Arc<Shared<A>>,
    queue: tokio::sync::Mutex<mpsc::Receiver<Job>>,
}

impl<A: Application> Lane<A> {
    /// Starts so many loops, for one message or one batch each.
    pub(crate) fn start(
        shared: &Arc<Shared<A>>,
        loops: usize,
        room: usize,
        batch: Option<BatchInfo>,
        tasks: &mut JoinSet<()>,
    ) -> mpsc::Sender<Job> {
        let (sender, queue) = mpsc::channel(room);
        let lane = Arc::new(Self { shared: shared.clone(), queue: tokio::sync::Mutex::new(queue) });
        for _ in 0..loops {
            let lane = lane.clone();
            match batch {
                Some(batch) => tasks.spawn(async move { lane.batches(batch).await }),
                None => tasks.spawn(async move { lane.messages().await }),
            };
        }
        sender
    }

    /// The next message that somebody waits for; `None` after a stop.
    async fn next(&self, queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
        loop {
            tokio::select! {
                biased;
                () = self.shared.stop.requested() => {
                    // Whoever waits is told, since nobody else will take it.
                    queue.close();
                    while queue.try_recv().is_ok() {}
                    return None;
                }
                job = queue.recv() => {
                    let job = job?;
                    if !job.answer.is_closed() {
                        return Some(job);
                    }
                }
            }
        }
    }

    async fn messages(&self) {
        loop {
            let job = {
                let mut queue = self.queue.lock().await;
                self.next(&mut queue).await
            };
            let Some(Job { message, answer }) = job else { return };
            let (cx, slot) = answering(&self.shared.context, message);
            let outcome = deliver(&*self.shared.app, &cx, &self.shared.policies).await;
            // Whoever asked may be gone.
            let _ = answer.send(Answered { outcome, reply: slot.take() });
        }
    }

    async fn batches(&self, batch: BatchInfo) {
        let mut settlements: Vec<Settlement> = Vec::new();
        loop {
            let mut jobs = Vec::new();
            {
                let mut queue = self.queue.lock().await;
                let Some(first) = self.next(&mut queue).await else { return };
                jobs.push(first);
                let until = Instant::now() + batch.wait;
                while jobs.len() < batch.size.max(1) {
                    match timeout_at(until, self.next(&mut queue)).await {
                        Ok(Some(job)) => jobs.push(job),
                        // Nothing is begun any more.
                        Ok(None) => return,
                        Err(_) => break,
                    }
                }
            }
            let (mut contexts, mut answers) = (Vec::new(), Vec::new());
            for Job { message, answer } in jobs {
                let (cx, slot) = answering(&self.shared.context, message);
                contexts.push(cx);
                answers.push(Some((answer, slot)));
            }
            let done = |index: usize, outcome| {
                if let Some((answer, slot)) = answers.get_mut(index).and_then(Option::take) {
                    let _ = answer.send(Answered { outcome, reply: slot.take() });
                }
            };
            let shared = &*self.shared;
            deliver_batch(&*shared.app, &contexts, &shared.policies, &mut settlements, done).await;
        }
    }
}

/// A context for a message whose handler may answer.
pub(crate) fn answering(context: &Context, message: Message) -> (Context, Arc<Slot>) {
    let slot = Arc::new(Slot { sender: context.sender().clone(), reply: Mutex::default() });
    let mut cx = context.clone().with_sender(slot.clone());
    drop(cx.replace(message));
    (cx, slot)
}

/// The sender of one message's handler: it keeps what is the answer, and sends everything else.
pub(crate) struct Slot {
    sender: Arc<dyn MessageSend>,
    reply: Mutex<Reply>,
}

#[derive(Default)]
enum Reply {
    #[default]
    None,
    Given(Box<Message>),
    /// The answer is on its way.
    Taken,
}

impl Slot {
    /// The answer, after which there is no other.
    fn take(&self) -> Option<Message> {
        let mut reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *reply, Reply::Taken) {
            Reply::Given(message) => Some(*message),
            Reply::None | Reply::Taken => None,
        }
    }

    /// Keeps `message` if it is the answer.
    fn keep(&self, message: Message) -> Result<SendFuture<'_>, Message> {
        let addressed = *message.address == *RESPONSE || message.address.starts_with(INBOX);
        if !addressed && message.bindings.get(PROTOCOL, field::STATUS_CODE).is_none() {
            return Err(message);
        }
        let mut reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*reply, Reply::Taken) {
            let error = SendError::new(message.address.to_string(), "the request is answered already");
            return Ok(SendFuture::ready(Err(error)));
        }
        // The answer of an attempt that failed gives way.
        *reply = Reply::Given(Box::new(message));
        Ok(SendFuture::ready(Ok(())))
    }
}

impl MessageSend for Slot {
    fn send(&self, message: Message) -> SendFuture<'_> {
        self.keep(message).unwrap_or_else(|message| self.sender.send(message))
    }

    fn send_on(&self, servers: &'static [&'static str], message: Message) -> SendFuture<'_> {
        self.keep(message).unwrap_or_else(|message| self.sender.send_on(servers, message))
    }
}
