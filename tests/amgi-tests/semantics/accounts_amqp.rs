//! AMQP, AsyncAPI 2.3: closed payloads and headers with a minimum; the application only receives.

use std::sync::Arc;

use amgi::{Application, Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    accounts_amqp::{
        AccountDebitDisabled, AccountDebitEnabled, AccountsAccountDebitDisabledHandler,
        AccountsAccountDebitEnabledHandler, app,
    },
    common::{Calls, documented},
};

struct Service(Arc<Calls>);

impl AccountsAccountDebitDisabledHandler for Service {
    type Error = Failure;

    async fn on_account_debit_disabled(
        &self,
        message: AccountDebitDisabled,
        _: &Context,
    ) -> Result<(), Failure> {
        self.0.note(("disabled", message.payload.account_id, message.headers.event_version));
        Ok(())
    }
}

impl AccountsAccountDebitEnabledHandler for Service {
    type Error = Failure;

    async fn on_account_debit_enabled(
        &self,
        message: AccountDebitEnabled,
        _: &Context,
    ) -> Result<(), Failure> {
        self.0.note(("enabled", message.payload.reason, message.headers.event_version));
        Ok(())
    }
}

#[tokio::test]
async fn each_channel_has_its_handler() {
    let calls = Arc::<Calls>::default();
    let app = TestApp::start(app(Service(calls.clone()))).await.expect("it starts");
    let disabled = || Message::new("accounts/AccountDebitDisabled");
    let enabled = || Message::new("accounts/AccountDebitEnabled");
    app.deliver(disabled().header("eventVersion", "3").payload(r#"{"accountId": "a-1"}"#))
        .await
        .assert_acked();
    app.deliver(enabled().payload(r#"{"reason": "paid"}"#)).await.assert_acked();
    calls.expect(&[("disabled", Some("a-1"), Some(3)), ("enabled", Some("paid"), None)]);

    app.deliver(disabled().payload(r#"{"accountId": "a-1", "more": 1}"#)).await.assert_rejected("/more");
    app.deliver(disabled().header("eventVersion", "0").payload("{}")).await.assert_rejected("/eventVersion");
    app.deliver(enabled().header("eventVersion", "x").payload("{}")).await.assert_rejected("/eventVersion");
    app.deliver(Message::new("accounts/other").payload("{}")).await.assert_nacked("accounts/other");
    calls.expect::<()>(&[]);
}

#[test]
fn the_queues_are_as_the_document_has_them() {
    let app = app(Service(Arc::default()));
    let queues: Vec<_> = app
        .channels()
        .iter()
        .map(|channel| {
            (
                channel.operations[0].name,
                documented(channel, "amqp", "queue").expect("a queue")["name"].clone(),
            )
        })
        .collect();
    assert_eq!(
        queues,
        [
            ("onAccountDebitDisabled", json!("AccountDebitDisabled")),
            ("onAccountDebitEnabled", json!("AccountDebitEnabled")),
        ]
    );
}
