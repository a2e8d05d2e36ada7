//! The service of `specs/user.yaml` with its command line, as `amgi-gen` writes it, on every server there is. It tells what it
//! does by what it sends: a welcome for everything that happens to a user. Some names say how a message goes.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use amgi::{Context, Failure, SendError};

amgi_gen_macro::asyncapi!("../../specs/user.yaml");

use user::{
    FindUser, Sender, UserCreated, UserCreatedHandler, UserDeleted, UserEvents, UserEventsHandler,
    UserFindHandler, UserFound, UserRenamed, UserWelcome, UserWelcomeHeaders, types,
};

/// How long a sign-up by the name of `Slow` takes.
const SLOW: Duration = Duration::from_millis(700);

#[derive(Default)]
struct Service {
    /// Whether somebody was to be called `Later` before.
    asked: AtomicBool,
}

/// Sends a welcome with this text.
async fn say(cx: &Context, correlation_id: &str, attempt: u64, text: String) -> Result<(), SendError> {
    let welcome = UserWelcome {
        payload: types::UserWelcomePayload { email: "ada@example.org".to_owned(), text },
        headers: UserWelcomeHeaders { correlation_id: correlation_id.to_owned(), attempt },
    };
    Sender::from(cx).user_welcome(welcome).await
}

impl UserCreatedHandler for Service {
    type Error = Failure;

    async fn on_user_created(&self, message: UserCreated, cx: &Context) -> Result<(), Failure> {
        let (headers, name) = (message.headers, message.payload.name.unwrap_or_default());
        if name == "Slow" {
            say(cx, &headers.correlation_id, headers.attempt, "This takes a while.".to_owned()).await?;
            tokio::time::sleep(SLOW).await;
        }
        say(cx, &headers.correlation_id, headers.attempt, format!("Welcome, {name}!")).await?;
        Ok(())
    }
}

impl UserEventsHandler for Service {
    type Error = Failure;

    async fn on_user_renamed(
        &self,
        channel: UserEvents,
        message: UserRenamed,
        cx: &Context,
    ) -> Result<(), Failure> {
        let name = message.payload.name;
        if name == "Nobody" {
            return Err(Failure::msg("nobody is called Nobody").dead_letter());
        }
        if name == "Later" && !self.asked.swap(true, Ordering::SeqCst) {
            return Err(Failure::msg("not yet"));
        }
        say(cx, &channel.user_id, 1, format!("{} is {name} now.", channel.user_id)).await?;
        Ok(())
    }

    async fn on_user_deleted(
        &self,
        channel: UserEvents,
        message: UserDeleted,
        cx: &Context,
    ) -> Result<(), Failure> {
        let reason = message.payload.reason.unwrap_or_default();
        say(cx, &channel.user_id, 1, format!("{} is gone: {reason}", channel.user_id)).await?;
        Ok(())
    }
}

impl UserFindHandler for Service {
    type Error = Failure;

    async fn find_user(&self, request: FindUser, _: &Context) -> Result<UserFound, Failure> {
        let id = request.payload.id;
        let user = (id == 42).then(|| types::User {
            id,
            email: "grace@example.org".to_owned(),
            plan: types::Plan::Pro,
        });
        Ok(UserFound { payload: types::UserFoundPayload { user } })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let app = amgi::cli::App::new(user::DOCUMENT, || user::app(Service::default()));
    // Sends go to servers that are built in, and the functions of AWS are built with those of AWS.
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return app.protocol(amgi_lambda::protocol()).protocol(amgi_sqs::protocol()).run().await;
    }
    app.protocol(amgi_amqp::protocol())
        .protocol(amgi_http::protocol())
        .protocol(amgi_kafka::protocol())
        .protocol(amgi_mqtt::protocol())
        .protocol(amgi_nats::protocol())
        .protocol(amgi_redis::protocol())
        .protocol(amgi_sqs::protocol())
        .run()
        .await
}
