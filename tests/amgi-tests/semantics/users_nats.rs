//! NATS, AsyncAPI 3.0: requests that wait for their replies, and one whose reply has an operation that receives it.

use std::{fmt::Debug, sync::Arc};

use amgi::{Application, Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    common::{Calls, documented, json},
    users_nats::{
        CreateUserRequest, DeleteUserRequest, GetUserRequest, Sender, UpdateUserRequest, UserCreate,
        UserCreateHandler, UserCreated, UserNotification, app,
        types::{
            CreateUserPayload, DeleteUserPayload, GetUserPayload, Notification, NotificationType,
            UpdateUserPayload,
        },
    },
};

struct Service(Arc<Calls>);

impl UserCreateHandler for Service {
    type Error = Failure;

    async fn on_user_created(
        &self,
        channel: UserCreate,
        message: UserCreated,
        cx: &Context,
    ) -> Result<(), Failure> {
        let user = message.payload;
        self.0.note((&channel.location_id, &user.name, user.age));
        let sender = Sender::from(cx);
        let id = user.id;
        let create = CreateUserPayload { email: user.email.clone(), name: "Bo".to_owned(), age: None };
        sender
            .create_user(
                &UserCreate { location_id: "south".to_owned() },
                CreateUserRequest { payload: create },
            )
            .await?;
        let update = UpdateUserPayload { id: id.clone(), email: Some(user.email), name: None, age: Some(41) };
        let updated = sender.update_user(UpdateUserRequest { payload: update }).await?;
        let read =
            sender.get_user_by_id(GetUserRequest { payload: GetUserPayload { id: id.clone() } }).await?;
        let deleted =
            sender.delete_user(DeleteUserRequest { payload: DeleteUserPayload { id: id.clone() } }).await?;
        self.0.note((updated.payload.age, read.payload.name, deleted.payload.deleted_at));
        let notification = Notification {
            r#type: NotificationType::Created,
            user_id: id,
            message: "created".to_owned(),
            timestamp: user.created_at,
            metadata: Default::default(),
        };
        sender.publish_user_notification(UserNotification { payload: notification }).await?;
        Ok(())
    }
}

const ID: &str = "123e4567-e89b-12d3-a456-426614174000";
const TIME: &str = "2026-01-02T03:04:05Z";

#[tokio::test]
async fn an_answer_leads_to_requests() {
    let calls = Arc::<Calls>::default();
    let user = json!({"id": ID, "email": "ada@example.org", "name": "Ada", "age": 40, "createdAt": TIME});
    let (updated, read) = (user.to_string().replace("40", "41"), user.to_string());
    let app = TestApp::start(app(Service(calls.clone())))
        .await
        .expect("it starts")
        .answer("user.update", move |_| Message::new("user.update").payload(updated.clone()))
        .answer("user.get", move |_| Message::new("user.get").payload(read.clone()))
        .answer("user.delete", |_| {
            Message::new("user.delete").payload(json!({"id": ID, "deletedAt": TIME}).to_string())
        });
    let delivered = app.deliver(Message::new("north.user.create").payload(user.to_string())).await;
    delivered.assert_acked();
    calls.expect::<&dyn Debug>(&[&("north", "Ada", Some(40)), &(Some(41), "Ada", TIME)]);
    let sent: Vec<_> = delivered.sends.iter().map(|sent| (sent.address.to_string(), json(sent))).collect();
    let expected = [
        ("south.user.create", json!({"email": "ada@example.org", "name": "Bo"})),
        ("user.update", json!({"id": ID, "email": "ada@example.org", "age": 41})),
        ("user.get", json!({"id": ID})),
        ("user.delete", json!({"id": ID})),
        (
            "user.notifications",
            json!({"type": "created", "userId": ID, "message": "created", "timestamp": TIME}),
        ),
    ];
    assert_eq!(sent, expected.map(|(address, payload)| (address.to_owned(), payload)));
}

#[tokio::test]
async fn a_location_is_one_part_of_the_address() {
    let app = TestApp::start(app(Service(Arc::default()))).await.expect("it starts");
    app.deliver(Message::new("user.create").payload("{}")).await.assert_nacked("user.create");
    let missing = json!({"id": ID, "email": "ada@example.org", "name": "Ada"});
    app.deliver(Message::new("a.user.create").payload(missing.to_string())).await.assert_rejected("");
    let channel = &app.app().channels()[0];
    assert_eq!(channel.address, "{location_id}.user.create");
    assert_eq!(documented(channel, "nats", "queue"), Some(json!("user-service")));
}
