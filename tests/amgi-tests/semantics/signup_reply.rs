//! Google Pub/Sub, AsyncAPI 3.0: requests with a reply on a channel, and with one where the request says.

use amgi::{Application, Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    common::{documented, json, only},
    signup_reply::{
        EmailVerificationHandler, UserSignupHandler, UserSignupReply, UserSignupRequest,
        UserVerificationReply, UserVerificationRequest, app,
        types::{
            UserSignupReplyPayload, UserSignupReplyPayloadStatus as Signup, UserVerificationReplyPayload,
            UserVerificationReplyPayloadStatus as Verification,
        },
    },
};

struct Service;

impl UserSignupHandler for Service {
    type Error = Failure;

    async fn on_user_signup(
        &self,
        request: UserSignupRequest,
        _: &Context,
    ) -> Result<UserSignupReply, Failure> {
        let user_id = request.payload.username.ok_or_else(|| Failure::msg("no name"))?;
        let payload =
            UserSignupReplyPayload { user_id: Some(user_id), status: Some(Signup::Success), message: None };
        Ok(UserSignupReply { payload })
    }
}

impl EmailVerificationHandler for Service {
    type Error = Failure;

    async fn on_email_verification(
        &self,
        request: UserVerificationRequest,
        _: &Context,
    ) -> Result<UserVerificationReply, Failure> {
        let known = request.payload.email.is_some_and(|email| email.contains('@'));
        let status = if known { Verification::Verified } else { Verification::Unverified };
        Ok(UserVerificationReply { payload: UserVerificationReplyPayload { status: Some(status) } })
    }
}

#[tokio::test]
async fn a_reply_goes_to_its_channel() {
    let app = TestApp::start(app(Service)).await.expect("it starts");
    let delivered = app.deliver(Message::new("user/signup").payload(r#"{"username": "ada"}"#)).await;
    delivered.assert_acked();
    let sent = only(&delivered.sends);
    assert_eq!(sent.address, "user/signup/reply");
    assert_eq!(json(sent), json!({"userId": "ada", "status": "success"}));

    let failed = app.deliver(Message::new("user/signup").payload("{}")).await;
    failed.assert_nacked("no name");
    assert!(failed.sends.is_empty());
}

#[tokio::test]
async fn a_reply_goes_where_the_request_says() {
    let app = TestApp::start(app(Service)).await.expect("it starts");
    let request = Message::new("/email/verification").payload(r#"{"email": "ada@example.org"}"#);
    let delivered = app.deliver(request.clone().header("replyTo", "answers/7")).await;
    delivered.assert_acked();
    let sent = only(&delivered.sends);
    assert_eq!(sent.address, "answers/7");
    assert_eq!(json(sent), json!({"status": "verified"}));

    // Nothing says where the answer goes.
    let lost = app.deliver(request).await;
    lost.assert_rejected("/replyTo");
    assert!(lost.sends.is_empty());
}

#[test]
fn only_requests_are_subscribed_to() {
    let app = app(Service);
    let addresses: Vec<&str> = app
        .channels()
        .iter()
        .filter(|channel| !channel.operations.is_empty())
        .map(|channel| channel.address.as_ref())
        .collect();
    assert_eq!(addresses, ["user/signup", "/email/verification"]);
    let topic = documented(&app.channels()[0], "googlepubsub", "topic");
    assert_eq!(topic, Some(json!("projects/my-project/topics/user-signup")));
}
