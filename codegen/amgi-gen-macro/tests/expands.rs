//! What the macro expands to is a service.

#![deny(warnings)]

use amgi::{Context, Failure, Message, testing::TestApp};
use user::{CreatedHandler, FindHandler, FindUser, UserCreated, UserFound, types::UserFoundPayload};

amgi_gen_macro::asyncapi!("tests/user.yaml");

mod inner {
    amgi_gen_macro::asyncapi!("tests/user.yaml", as people);
}

#[derive(Debug)]
struct Service;

impl CreatedHandler for Service {
    type Error = Failure;

    async fn on_user_created(&self, message: UserCreated, _: &Context) -> Result<(), Failure> {
        if message.payload.id == 1 { Ok(()) } else { Err(Failure::msg("who is that?").discard()) }
    }
}

impl FindHandler for Service {
    type Error = Failure;

    async fn find_user(&self, request: FindUser, _: &Context) -> Result<UserFound, Failure> {
        Ok(UserFound {
            payload: UserFoundPayload { name: request.payload.id.map(|id| format!("user {id}")) },
        })
    }
}

#[tokio::test]
async fn messages_arrive_typed() {
    let app = TestApp::start(user::app(Service)).await.unwrap();
    app.deliver(Message::new("user.created").payload(r#"{"id":1}"#)).await.assert_acked();
    let found = app.deliver(Message::new("user.find").payload(r#"{"id":7}"#)).await;
    found.assert_acked();
    assert_eq!(found.sent_to("user.found").len(), 1);
}

#[test]
fn the_same_document_can_be_two_modules() {
    let message = inner::people::UserFound { payload: inner::people::types::UserFoundPayload { name: None } };
    assert_eq!(message.clone(), message);
}
