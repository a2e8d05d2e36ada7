//! Lines that are logged while a message is handled say which one it is, with the plain formatter of `tracing-subscriber`.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use amgi::{
    Application, ChannelInfo, Context, Message, MessageSend, OperationInfo, Outgoing, SendFuture, Settlement,
    State, layer::Trace, server, testing::TestApp,
};
use tracing::info;

const OPERATIONS: &[OperationInfo] = &[OperationInfo { name: "onUserRenamed", bindings: &[], messages: &[] }];

struct App([ChannelInfo; 1]);

impl App {
    fn new() -> Self {
        Self([ChannelInfo { operations: OPERATIONS, ..ChannelInfo::new("userEvents", "user.{id}") }])
    }
}

impl Application for App {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0
    }

    async fn message(&self, cx: &Context) -> Settlement {
        info!("before");
        tokio::task::yield_now().await;
        info!("after");
        let receipt = Outgoing::new(cx.sender(), Ok(Message::new("receipt")));
        if cx.send_on_success(receipt).is_err() {
            return Settlement::Unsettled;
        }
        Settlement::Ack
    }

    async fn batch(&self, contexts: &[Context], settlements: &mut Vec<Settlement>) {
        info!("together");
        settlements.resize(contexts.len(), Settlement::Ack);
    }
}

/// Where the formatter writes.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let lines = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || lines.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no test panics with it"));
        let text = String::from_utf8(bytes).expect("lines are text");
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

#[tokio::test]
async fn lines_say_operation_channel_and_address() {
    let lines = Lines::default();
    let _guard = lines.capture();
    let app = TestApp::start(App::new().layer(Trace::new())).await.expect("it starts");
    app.deliver(Message::new("user.42")).await.assert_acked();
    let span = r#"process{operation="onUserRenamed" channel="userEvents" address="user.42"}"#;
    assert_eq!(lines.take(), [format!("INFO {span}: before"), format!("INFO {span}: after")]);

    app.deliver(Message::new("elsewhere")).await.assert_acked();
    let span = r#"process{address="elsewhere"}"#;
    assert_eq!(lines.take(), [format!("INFO {span}: before"), format!("INFO {span}: after")]);
}

#[tokio::test]
async fn a_batch_has_one_span() {
    let lines = Lines::default();
    let _guard = lines.capture();
    let app = App::new().layer(Trace::new());
    let mut state = State::default();
    app.startup(&mut state).await.expect("it starts");
    let context =
        |address: &str| Context::new(Message::new(address), state.clone(), Arc::new(amgi::NoSender));
    app.batch(&[context("user.1"), context("user.1")], &mut Vec::new()).await;
    app.batch(&[context("user.1"), context("user.2")], &mut Vec::new()).await;
    assert_eq!(
        lines.take(),
        [
            r#"INFO process{operation="onUserRenamed" channel="userEvents" address="user.1" messages=2}: together"#,
            r#"INFO process{operation="onUserRenamed" channel="userEvents" messages=2}: together"#,
        ]
    );
}

/// Logs what it sends.
struct Loud;

impl MessageSend for Loud {
    fn send(&self, message: Message) -> SendFuture<'_> {
        info!("sent to {}", message.address);
        SendFuture::ready(Ok(()))
    }
}

#[tokio::test]
async fn what_is_sent_on_success_belongs_to_the_message() {
    let lines = Lines::default();
    let _guard = lines.capture();
    let app = App::new().layer(Trace::new());
    let mut state = State::default();
    app.startup(&mut state).await.expect("it starts");
    let cx = Context::new(Message::new("user.42"), state, Arc::new(Loud));
    let policies = server::Policies::new(app.channels(), server::Policy::default());
    assert_eq!(server::deliver(&app, &cx, &policies).await, server::Outcome::Acked);
    let sent = lines.take().pop().expect("a line");
    assert!(sent.starts_with("INFO process{operation=") && sent.ends_with("sent to receipt"), "{sent}");
}
