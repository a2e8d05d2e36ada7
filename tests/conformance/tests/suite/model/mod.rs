//! A broker and its server in this process, which can do everything that the suite asks for, and can be told to break a
//! promise.

mod broker;
mod server;

use std::{fmt, sync::Arc, time::Duration};

use amgi::{Application, Bindings, ByteString, Message};
use amgi_conformance::{Abilities, Ability, Run, Subject, Watch};
use tokio::sync::{RwLock, RwLockReadGuard, mpsc};

use self::broker::Broker;

/// Cases with models that keep every promise read it; what takes the memory of the process writes it, and runs without them.
pub(crate) static TOGETHER: RwLock<()> = RwLock::const_new(());

/// A promise that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    // What the handler sees.
    OtherAddress,
    LosesHeaders,
    LosesBindings,
    BindsTwice,
    LosesState,
    UndeclaredExtension,
    SortsHeaders,
    OneHeaderEach,
    TextHeaders,
    TextPayload,
    EmptyIsAbsent,
    AbsentIsEmpty,
    CutsPayloads,
    CutsLargePayloads,
    FiltersNothing,
    // How it is settled.
    AcksEarly,
    AcksNothing,
    AcksUnsettled,
    AcksNacked,
    NackBlocks,
    ForgetsItsQueue,
    BatchesOfOne,
    BatchesOfAll,
    BatchIsAllOrNothing,
    NeverRetries,
    RetriesAtOnce,
    PanicsToo,
    NeverTimesOut,
    NoDeadLetters,
    KeepsDeadLettered,
    IgnoresTheDocument,
    RetriesRejected,
    DeadLettersDiscarded,
    // Sends.
    LosesHeadersOut,
    LosesBindingsOut,
    SendsLater,
    SendsTwice,
    SendsLose,
    IgnoresRefusals,
    StopsAtRefusals,
    SendsWithoutBroker,
    SendsHang,
    RepliesWait,
    RepliesEndAtStop,
    // Flow.
    Reorders,
    Overtakes,
    OvertakesRetries,
    OneAtATime,
    TwiceAsMany,
    TakesEverything,
    // Lifespan.
    StartsTooEarly,
    ShutsDownTooEarly,
    IgnoresStartup,
    IgnoresShutdown,
    StopCuts,
    StopGoesOn,
    NoDeadline,
    DeadlineAcks,
    // The broker.
    WaitsForTheBroker,
    StaysAway,
    IgnoresGroups,
}

#[derive(Default)]
pub(crate) struct Model {
    broker: Arc<Broker>,
    fault: Option<Fault>,
    /// What it says that it cannot do.
    claim: Option<Ability>,
    _together: Option<RwLockReadGuard<'static, ()>>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault {:?}, claim {:?}", self.fault, self.claim)
    }
}

impl Model {
    /// One that keeps every promise.
    pub(crate) async fn whole() -> Self {
        Self { _together: Some(TOGETHER.read().await), ..Self::default() }
    }

    /// One that breaks a promise.
    pub(crate) fn with(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// One that can do all, and says that it cannot.
    pub(crate) fn claiming(ability: Ability) -> Self {
        Self { claim: Some(ability), ..Self::default() }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

impl Subject for Model {
    fn name(&self) -> &'static str {
        "model"
    }

    fn abilities(&self) -> Abilities {
        // Messages may pass what the broker delivers again, but not what is tried again here.
        let claim = self.claim.or(self.has(Fault::OvertakesRetries).then_some(Ability::Nack));
        claim.map_or_else(Abilities::all, |claim| Abilities::all().without(claim, "It says so."))
    }

    fn bindings(&self) -> Bindings {
        let mut bindings = Bindings::default();
        bindings.set("model", "colour", "red");
        bindings
    }

    fn refused(&self) -> Option<ByteString> {
        Some(broker::REFUSED.into())
    }

    fn patience(&self) -> Duration {
        // What is wrong is waited for in vain.
        if self.fault.is_some() || self.claim.is_some() {
            Duration::from_secs(2)
        } else {
            Duration::from_secs(15)
        }
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(100)
    }

    async fn serve<A: Application>(&self, app: A, run: Run) -> amgi::Result<()> {
        server::serve(app, run, self.broker.clone(), self.fault).await
    }

    async fn publish(&self, messages: &[Message]) {
        for message in messages {
            self.broker.publish(message).expect("the test's own publishing");
        }
    }

    async fn watch(&self, address: &str) -> Watch {
        let (saw, messages) = mpsc::unbounded_channel();
        self.broker.watch(address, saw);
        Watch::new(messages, ())
    }

    async fn break_broker(&self) {
        self.broker.go();
    }

    async fn restore_broker(&self) {
        self.broker.come_back();
        // What does not come back is seen by who waits for it.
        assert!(!self.has(Fault::StaysAway) || self.broker.is_up());
    }
}
